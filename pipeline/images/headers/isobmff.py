"""HEIC and AVIF: boxes of the ISO media file format (ISO 14496-12), properties of the image item (ISO 23008-12)."""

import struct
from collections.abc import Iterator

from pipeline.errors import ImageError
from pipeline.images.headers import require
from pipeline.items import Probe

_AVIF = frozenset({b"avif", b"avis"})
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_GENERIC = frozenset({b"mif1", b"msf1"})
"""HEIF with any codec; in practice HEVC unless AV1 is among the brands."""
_SEQUENCES = frozenset({b"avis", b"hevc", b"hevx", b"msf1"})
_ORIENTATIONS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (1, 0): 5, (2, 0): 2, (3, 0): 7,
    (0, 1): 2, (1, 1): 7, (2, 1): 4, (3, 1): 5,
}  # fmt: skip
"""(irot quarter turns against the clock, imir axis) as EXIF orientation; the EXIF inside these files does not count."""

Box = tuple[bytes, int, int]
"""Type, and where its content starts and ends."""


def format_of(head: bytes) -> str | None:
    """`heic` or `avif` by the brands of the `ftyp` box; None: another kind of media file."""
    end = min(struct.unpack_from(">I", head)[0], len(head))
    brands = {head[8:12], *(head[start : start + 4] for start in range(16, end, 4))}
    if head[8:12] not in _HEIC and brands & _AVIF:
        return "avif"
    return "heic" if brands & (_HEIC | _GENERIC) else None


def read(head: bytes) -> Probe:
    """`frames` is 2 for any image sequence."""
    kind = format_of(head)
    try:
        meta = next((box for box in _boxes(head, 0, None) if box[0] == b"meta"), None)
        if meta is None or kind is None:
            raise ImageError("undecodable", "The file has no image description (meta box).")
        require(head, meta[2])
        (width, height), orientation = _primary_item(head, meta)
    except (struct.error, IndexError, KeyError, ValueError, ZeroDivisionError) as error:
        raise ImageError("undecodable", "The image description (meta box) is damaged.") from error
    if orientation >= 5:
        width, height = height, width
    return Probe(kind, width, height, orientation, frames=2 if head[8:12] in _SEQUENCES else 1)


def is_complete(data: bytes) -> bool:
    """Every box ends within the data."""
    try:
        return all(end <= len(data) for _, _, end in _boxes(data, 0, len(data)))
    except struct.error:
        return False


def _primary_item(head: bytes, meta: Box) -> tuple[tuple[int, int], int]:
    parts = _by_type(head, meta[1] + 4, meta[2])  # four bytes of version and flags
    _, start, _ = parts[b"pitm"]
    primary = struct.unpack_from(">I" if head[start] else ">H", head, start + 4)[0]
    tables = _by_type(head, *parts[b"iprp"][1:])
    properties = list(_boxes(head, *tables[b"ipco"][1:]))
    size, turns, mirror = None, 0, None
    for index in _associations(head, tables[b"ipma"][1], primary):
        kind, start, _ = properties[index - 1]
        if kind == b"ispe":
            size = struct.unpack_from(">II", head, start + 4)
        elif kind == b"clap":  # what is left of blocks that the codec filled up: width and height as fractions
            wide, wide_parts, high, high_parts = struct.unpack_from(">4I", head, start)
            size = (round(wide / wide_parts), round(high / high_parts))
        elif kind == b"irot":
            turns = head[start] & 3
        elif kind == b"imir":
            mirror = head[start] & 1
    if size is None or not size[0] or not size[1]:
        raise ValueError("no size")
    return size, _ORIENTATIONS[turns, mirror]


def _associations(head: bytes, start: int, item: int) -> list[int]:
    """Numbers of the properties of `item`, counted from 1, out of the `ipma` box at `start`."""
    version, wide = head[start], head[start + 3] & 1
    entries = struct.unpack_from(">I", head, start + 4)[0]
    position = start + 8
    for _ in range(entries):
        entry_item = struct.unpack_from(">I" if version else ">H", head, position)[0]
        position += 4 if version else 2
        count = head[position]
        numbers = struct.unpack_from(f">{count}{'H' if wide else 'B'}", head, position + 1)
        if entry_item == item:
            mask = 0x7FFF if wide else 0x7F  # the top bit says that the property is essential
            return [number & mask for number in numbers if number & mask]
        position += 1 + count * (2 if wide else 1)
    return []


def _by_type(head: bytes, start: int, end: int) -> dict[bytes, Box]:
    return {box[0]: box for box in _boxes(head, start, end)}


def _boxes(data: bytes, start: int, end: int | None) -> Iterator[Box]:
    """Boxes from `start` to `end`; None: as many as follow, with NeedMoreBytes where `data` stops before the next."""
    position = start
    while end is None or position + 8 <= end:
        if end is None:
            require(data, position + 16)
        size, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if size == 1:
            size, header = struct.unpack_from(">Q", data, position + 8)[0], 16
        elif size == 0:  # to the end of the file
            size = max(len(data) if end is None else end, position + 8) - position
        if size < header:
            raise ValueError("a box smaller than its own header")
        yield kind, position + header, position + size
        position += size
