"""TIFF directories (TIFF 6.0, section 2): the header of TIFF files, and EXIF, which is a small TIFF of its own."""

import struct
from collections.abc import Iterator

from pipeline.errors import ImageError
from pipeline.images.headers import require
from pipeline.items import Probe

_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""Field types that hold a size: BYTE, SHORT, LONG, LONG8."""


def read(head: bytes) -> Probe:
    require(head, 16)
    order = "<" if head.startswith(b"II") else ">"
    big = struct.unpack_from(order + "H", head, 2)[0] == 43  # BigTIFF: all offsets are 64 bits
    start = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0]
    tags: dict[int, int] = {}
    next_directory = 0
    for tag, value in _directory(head, start, order, big):
        if tag is None:
            next_directory = value
        else:
            tags[tag] = value
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    if not width or not height:
        raise ImageError("undecodable", "The TIFF header gives no width or no height.")
    orientation = tags.get(_ORIENTATION, 1)
    if orientation not in range(1, 9):
        orientation = 1
    if orientation >= 5:
        width, height = height, width
    return Probe("tiff", width, height, orientation, frames=2 if next_directory else 1)


def is_complete(data: bytes) -> bool:
    """Not to be seen from the end of a TIFF; the decoder notices."""
    return True


def exif_orientation(data: bytes, start: int) -> int:
    """Orientation 1 to 8 in the EXIF block (a TIFF header) at `start`; 1 when it says none or is broken."""
    try:
        order = {b"II": "<", b"MM": ">"}[data[start : start + 2]]
        position = start + struct.unpack_from(order + "I", data, start + 4)[0]
        first = position + 2
        count = struct.unpack_from(order + "H", data, position)[0]
        for entry in range(first, first + count * 12, 12):
            tag, kind = struct.unpack_from(order + "HH", data, entry)
            if tag == _ORIENTATION:
                value = struct.unpack_from(order + _INTEGERS[kind], data, entry + 8)[0]
                return value if value in range(1, 9) else 1
            if tag > _ORIENTATION:  # tags are in ascending order, and orientation is among the first
                return 1
    except (KeyError, struct.error):
        pass
    return 1


def _directory(data: bytes, position: int, order: str, big: bool) -> Iterator[tuple[int | None, int]]:
    """Integer entries of the directory at `position`; at the end (None, offset of the next directory)."""
    count_format, entry_size, inline = (order + "Q", 20, 8) if big else (order + "H", 12, 4)
    entries = position + struct.calcsize(count_format)
    require(data, entries)
    count = struct.unpack_from(count_format, data, position)[0]
    end = entries + count * entry_size
    require(data, end)
    for entry in range(entries, end, entry_size):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if kind in _INTEGERS:
            yield tag, struct.unpack_from(order + _INTEGERS[kind], data, entry + 4 + inline)[0]
    next_format = order + ("Q" if big else "I")
    following = struct.unpack_from(next_format, data, end)[0] if len(data) >= end + inline else 0
    yield None, following
