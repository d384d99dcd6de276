"""BMP: the size in its core or info header."""

import struct

from pipeline.errors import ImageError
from pipeline.images.headers import require
from pipeline.items import Probe

_CORE_HEADER = 12


def read(head: bytes) -> Probe:
    require(head, 26)
    core = struct.unpack_from("<I", head, 14)[0] == _CORE_HEADER
    width, height = struct.unpack_from("<HH" if core else "<ii", head, 18)
    if width <= 0 or not height:
        raise ImageError("undecodable", "The BMP header gives no width or no height.")
    return Probe("bmp", width, abs(height))  # a negative height: the rows are stored from the top


def is_complete(data: bytes) -> bool:
    return len(data) >= int.from_bytes(data[2:6], "little")
