"""GIF: the screen descriptor, and the blocks that tell whether there is a second picture (GIF89a, appendix A)."""

import struct

from pipeline.errors import ImageError
from pipeline.images.headers import require
from pipeline.items import Probe

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B


def read(head: bytes) -> Probe:
    """`frames` is 2 when a second picture begins within the bytes given; counting would need the whole file."""
    require(head, 13)
    width, height = struct.unpack_from("<HH", head, 6)
    if not width or not height:
        raise ImageError("undecodable", "The GIF header gives no width or no height.")
    frames, _ = _walk(head)
    return Probe("gif", width, height, frames=max(1, frames))


def is_complete(data: bytes) -> bool:
    return _walk(data)[1]


def _walk(data: bytes) -> tuple[int, bool]:
    """(pictures seen, at most 2; whether the walk ended by itself, at the trailer or at the second picture)."""
    position = 13 + _table_bytes(data[10])
    frames = 0
    try:
        while (block := data[position]) != _TRAILER:
            if block == _IMAGE:
                frames += 1
                if frames == 2:
                    return frames, True
                position += 11 + _table_bytes(data[position + 9])  # descriptor, palette, code size of LZW
            elif block == _EXTENSION:
                position += 2
            else:
                return frames, False
            while data[position]:  # sub-blocks of up to 255 bytes; an empty one ends them
                position += data[position] + 1
            position += 1
    except IndexError:
        return frames, False
    return frames, True


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
