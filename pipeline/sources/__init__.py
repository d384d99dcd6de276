"""Where images come from: listed as a stream, read one by one. Knows no model and no format of images.

What opens a source knows all kinds of them, and is loaded on first use: the processes that prepare only read.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.sources.names import asks_videos, has_video_suffix
from pipeline.sources.options import SourceOptions
from pipeline.sources.reading import Reader
from pipeline.sources.source import RangedSource, RemoteSource, Source, close_source, has_remote, remote_source

if TYPE_CHECKING:
    from pipeline.sources.opening import key_prefixes, open_source, split_source
    from pipeline.sources.web.reader import WebReader

_HOMES = {
    "WebReader": "web.reader",
    "key_prefixes": "opening",
    "open_source": "opening",
    "split_source": "opening",
}

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


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"pipeline.sources.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pipeline.sources' has no attribute {name!r}")
