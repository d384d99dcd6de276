"""The one door through which video files reach FFmpeg: an allow-list of containers, no other file and no network, one
kind of error.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import ImageError, MissingExtra
from pipeline.videos.containers import HEAD_BYTES, container_of, is_cut_off
from pipeline.videos.video import Video

if TYPE_CHECKING:
    from av.container import InputContainer

_DEMUXERS = "mov,matroska,webm,avi,flv,asf"
"""What opens nothing but the file itself. Playlists (HLS, concat, DASH), which a file may claim to be, name others."""
_BUFFER_BYTES = 256 * 1024


def check_installed() -> None:
    """Raises MissingExtra."""
    if find_spec("av") is None:
        raise MissingExtra("Reading videos", "video")


@contextmanager
def open_video(file: BinaryIO, max_pixels: int) -> Iterator[Video]:
    """The video in `file`, a seekable file object that stays the caller's.

    Raises ImageError: `unsupported_format` (no video, sound alone, an unknown codec), `truncated_file`, `undecodable`,
    `bomb`; also from within, while frames are read. MissingExtra without PyAV.
    """
    check_installed()
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if not head:
        raise ImageError("truncated_file", "The file is empty.")
    kind = container_of(head)
    if kind is None:
        raise ImageError("unsupported_format", f"Not a video in a container that is read: begins with {head[:8]!r}.")
    if is_cut_off(file, kind):
        raise ImageError("truncated_file", f"The {kind} file is cut off; fetch it again.")
    with _errors(kind), _opened(file) as container:
        yield Video(container, kind, max_pixels)


@contextmanager
def _opened(file: BinaryIO) -> Iterator["InputContainer"]:
    import av

    file.seek(0)
    # An empty whitelist of protocols: whatever a file names besides, a reference to another or a URL, is not opened.
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": ""}
    with av.open(
        file, "r", container_options=options, metadata_errors="replace", buffer_size=_BUFFER_BYTES
    ) as container:
        yield container


@contextmanager
def _errors(kind: str) -> Iterator[None]:
    from av.error import DecoderNotFoundError, FFmpegError

    logging.getLogger("libav").setLevel(logging.CRITICAL)  # what is wrong with a video stands in its row
    try:
        yield
    except (ImageError, OSError) as error:
        if isinstance(error, OSError) and isinstance(error, FFmpegError):
            raise ImageError("undecodable", f"The {kind} video is damaged: {_said(error)}.") from error
        raise
    except DecoderNotFoundError as error:
        raise ImageError("unsupported_format", f"No decoder for this {kind} video is at hand.") from error
    except MemoryError as error:
        raise ImageError("bomb", f"The {kind} video takes more memory than allowed to decode.") from error
    except (FFmpegError, ValueError, OverflowError, ZeroDivisionError, IndexError) as error:
        raise ImageError("undecodable", f"The {kind} video is damaged: {_said(error)}.") from error


def _said(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
