"""Format and dimensions of an image from the first bytes of its file. No Pillow: nothing is decoded."""

from collections.abc import Callable
from typing import Protocol

from pipeline.errors import ImageError
from pipeline.images.headers import NeedMoreBytes, bmp, gif, isobmff, jpeg, png, tiff, webp
from pipeline.items import Probe

HEAD_BYTES = 16 * 1024
"""How much of a file to read first: holds the header of all but cameras' JPEGs, whose EXIF carries a thumbnail."""


class _Family(Protocol):
    """What each module of `headers` offers."""

    def read(self, head: bytes) -> Probe: ...
    def is_complete(self, data: bytes) -> bool: ...


_FAMILIES: dict[str, _Family] = {
    "jpeg": jpeg,
    "png": png,
    "webp": webp,
    "gif": gif,
    "bmp": bmp,
    "tiff": tiff,
    "heic": isobmff,
    "avif": isobmff,
}


def probe(head: bytes) -> Probe:
    """Read the header in `head`, the first bytes of a file or all of them.

    4 to 8 microseconds; Pillow's `open` takes 39, and its `getexif` decodes a PNG (0.2 s at 12 megapixels).
    `frames` counts exactly for APNG only, otherwise 2 stands for "more than one". Orientation is 1 where the metadata
    follow the pixels (WebP, some PNG) and `head` does not reach them; `prepare` sees the whole file.

    Raises NeedMoreBytes when the header lies beyond `head` (read its `count` first bytes and ask again; with the whole
    file given, it is the ImageError `truncated_file`), ImageError `unsupported_format`, `truncated_file` (an empty
    file) or `undecodable`.
    """
    if not head:
        raise ImageError("truncated_file", "The file is empty.")
    kind = _format_of(head)
    if kind is None:
        known = ", ".join(_FAMILIES)
        raise ImageError("unsupported_format", f"Not an image in one of the formats {known}: begins with {head[:8]!r}.")
    return _FAMILIES[kind].read(head)


def probe_from(read_head: Callable[[int], bytes]) -> Probe:
    """Probe through `read_head(count)`, which gives a file's first `count` bytes, or all when there are fewer.

    Reads again, at least twice as much, only when the header was not in what came; raises as `probe` does.
    """
    count = HEAD_BYTES
    while True:
        head = read_head(count)
        try:
            return probe(head)
        except NeedMoreBytes as more:
            if len(head) < count:
                raise
            count = more.count


def check_pixels(header: Probe, max_pixels: int) -> None:
    """Raise ImageError `bomb` for an image that is not to be decoded."""
    if header.width * header.height > max_pixels:
        size = f"{header.width}x{header.height}"
        raise ImageError(
            "bomb", f"{size} pixels are more than max_pixels = {max_pixels}; shrink it or raise the limit."
        )


def is_complete(kind: str, data: bytes) -> bool:
    """Whether a file of format `kind` ends as it should, at a glance. False may also mean an unusual end."""
    return _FAMILIES[kind].is_complete(data)


def _format_of(head: bytes) -> str | None:
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if head[4:8] == b"ftyp":
        return isobmff.format_of(head)
    return "bmp" if head.startswith(b"BM") else None
