"""WebP: the RIFF container (developers.google.com/speed/webp/docs/riff_container) around VP8, VP8L or extended VP8X."""

import struct

from pipeline.errors import ImageError
from pipeline.images.headers import require
from pipeline.images.headers.tiff import exif_orientation
from pipeline.items import Probe

_FIRST_CHUNK = 12
_ANIMATED = 0x02


def read(head: bytes) -> Probe:
    """`frames` is 2 for any animation; orientation is 1 where EXIF, which follows the pixels, is beyond `head`."""
    require(head, 30)
    kind = head[_FIRST_CHUNK : _FIRST_CHUNK + 4]
    orientation, frames = 1, 1
    if kind == b"VP8X":
        width = int.from_bytes(head[24:27], "little") + 1
        height = int.from_bytes(head[27:30], "little") + 1
        frames = 2 if head[20] & _ANIMATED else 1
        orientation = _orientation(head)
    elif kind == b"VP8L" and head[20] == 0x2F:
        bits = struct.unpack_from("<I", head, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 26))
    else:
        width = height = 0
    if not width or not height:
        raise ImageError("undecodable", "The WebP header gives no width or no height.")
    if orientation >= 5:
        width, height = height, width
    return Probe("webp", width, height, orientation, frames)


def is_complete(data: bytes) -> bool:
    return len(data) >= 12 and struct.unpack_from("<I", data, 4)[0] + 8 <= len(data)


def _orientation(head: bytes) -> int:
    position = _FIRST_CHUNK
    while position + 8 <= len(head):
        kind, length = struct.unpack_from("<4sI", head, position)
        if kind == b"EXIF":
            start = position + 8
            return exif_orientation(head, start + 6 if head.startswith(b"Exif\0\0", start) else start)
        position += 8 + length + (length & 1)
    return 1
