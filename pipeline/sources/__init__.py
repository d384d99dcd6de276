"""Where images come from: listed as a stream, read one by one. Knows no model and no format of images."""

from pipeline.sources.names import asks_videos, has_video_suffix
from pipeline.sources.opening import key_prefixes, open_source, split_source
from pipeline.sources.options import SourceOptions
from pipeline.sources.reading import Reader
from pipeline.sources.source import RangedSource, RemoteSource, Source, close_source, has_remote, remote_source
from pipeline.sources.web.reader import WebReader

__all__ = [
    "RangedSource",
    "Reader",
    "RemoteSource",
    "Source",
    "SourceOptions",
    "WebReader",
    "asks_videos",
    "close_source",
    "has_remote",
    "has_video_suffix",
    "key_prefixes",
    "open_source",
    "remote_source",
    "split_source",
]
