"""What is listed, by its name: the usual suffixes of images and videos, or the user's own globs."""

import re
from collections.abc import Callable

from pipeline.sources.globs import compiled
from pipeline.sources.options import SourceOptions

# fmt: off
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".heic", ".heif", ".avif",
))
VIDEO_SUFFIXES = frozenset((
    ".mp4", ".m4v", ".mov", ".qt", ".webm", ".mkv", ".avi", ".3gp", ".3g2", ".flv", ".wmv", ".asf",
))
# fmt: on


def is_included(options: SourceOptions, glob: str | None = None) -> Callable[[str], object]:
    """Whether a file is wanted, by its path below the source. `glob` takes the place of `options.include`."""
    include = (glob,) if glob else options.include
    if include:
        return compiled(include).fullmatch
    suffixes = SUFFIXES | VIDEO_SUFFIXES if options.video else SUFFIXES
    return lambda path: path[path.rfind(".") :].lower() in suffixes


def has_video_suffix(path: str) -> bool:
    return path[path.rfind(".") :].lower() in VIDEO_SUFFIXES


def asks_videos(options: SourceOptions) -> bool:
    """Whether videos are to be captioned: because the job says so, or a source or a glob of it names some."""
    named = (*(re.split("[?#]", path)[0] for path in options.paths), *options.include)
    return options.video or any(map(has_video_suffix, named))
