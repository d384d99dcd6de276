"""PNG and APNG: walks the chunks (PNG specification, third edition, section 5)."""

import struct

from pipeline.errors import ImageError
from pipeline.images.headers import require
from pipeline.images.headers.tiff import exif_orientation
from pipeline.items import Probe

_IHDR_END = 33
_IEND = b"IEND\xaeB`\x82"


def read(head: bytes) -> Probe:
    """Orientation is 1 where the eXIf chunk follows the pixels (as ImageMagick writes it) beyond the bytes given."""
    require(head, _IHDR_END)
    if head[12:16] != b"IHDR":
        raise ImageError("undecodable", "The PNG does not begin with its header chunk.")
    width, height = struct.unpack_from(">II", head, 16)
    if not width or not height:
        raise ImageError("undecodable", "The PNG header gives no width or no height.")
    orientation, frames = 1, 1
    position = _IHDR_END
    while position + 12 <= len(head):
        length, kind = struct.unpack_from(">I4s", head, position)
        if kind == b"eXIf":
            orientation = exif_orientation(head, position + 8)
        elif kind == b"acTL":
            frames = max(1, struct.unpack_from(">I", head, position + 8)[0])
        position += 12 + length
    if orientation >= 5:
        width, height = height, width
    return Probe("png", width, height, orientation, frames)


def is_complete(data: bytes) -> bool:
    return data.rfind(_IEND) >= 0
