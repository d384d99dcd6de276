"""Where images come from: listed as a stream, read one by one. Knows no model and no format of images."""

from pipeline.sources.opening import open_source
from pipeline.sources.options import SourceOptions
from pipeline.sources.source import Source

__all__ = ["Source", "SourceOptions", "open_source"]
