"""What kind of video a file is, and whether all of it is there, by its outermost structure. Bytes only, no PyAV.

Sources: ISO/IEC 14496-12 section 4.2 (boxes), QuickTime File Format (atoms without `ftyp`), RFC 8794 and RFC 9559
(EBML, Matroska), Microsoft's AVI RIFF and ASF references, Adobe's FLV specification 10.1.
"""

import os
import struct
from typing import BinaryIO

HEAD_BYTES = 64
"""That tell what a file is."""

_QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_UNKNOWN_SIZE = (1 << 56) - 1


def container_of(head: bytes) -> str | None:
    """`mp4`, `mov`, `3gp`, `webm`, `mkv`, `avi`, `flv` or `asf` by a file's first bytes; None: none of these.

    Pictures in the same family (HEIC, AVIF) are to be ruled out before.
    """
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "mov" if brand == b"qt  " else "3gp" if brand[:2] == b"3g" else "mp4"
    if head[4:8] in _QUICKTIME_ATOMS:
        return "mov"
    if head.startswith(_EBML):
        return "webm" if b"webm" in head[:HEAD_BYTES] else "mkv"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"FLV\x01"):
        return "flv"
    return "asf" if head.startswith(_ASF) else None


def is_cut_off(file: BinaryIO, kind: str) -> bool:
    """Whether the file ends before its structure says that it does. False where the structure does not say."""
    size = file.seek(0, os.SEEK_END)
    try:
        if kind in ("mp4", "mov", "3gp"):
            return _boxes_cut_off(file, size)
        if kind in ("mkv", "webm"):
            return _segment_cut_off(file, size)
        if kind == "avi":
            return int.from_bytes(_at(file, 4, 4), "little") + 8 > size
    except struct.error:  # the structure itself is not there
        return True
    return False


def _boxes_cut_off(file: BinaryIO, size: int) -> bool:
    """A box reaches beyond the end; or there is no `moov`, which a recorder writes last."""
    start, has_index = 0, False
    while start + 8 <= size:
        length, kind = struct.unpack(">I4s", _at(file, start, 8))
        has_index = has_index or kind == b"moov"
        if length == 1:
            length = struct.unpack(">Q", _at(file, start + 8, 8))[0]
        if length == 0:  # to the end, whatever that is
            return not has_index
        if length < 8:  # no structure any more
            return not has_index
        start += length
    return start > size or not has_index


def _segment_cut_off(file: BinaryIO, size: int) -> bool:
    _, start = _number(file, 4)
    header_size, start = _number(file, 4)
    start += header_size
    if _at(file, start, 4) != _SEGMENT:
        return False
    length, start = _number(file, start + 4)
    return length != _UNKNOWN_SIZE and start + length > size


def _number(file: BinaryIO, start: int) -> tuple[int, int]:
    """An EBML size and where it ends; all ones mean unknown, however long it is written."""
    first = _at(file, start, 1)[0]
    length = 9 - first.bit_length()
    data = _at(file, start, length)
    value = int.from_bytes(data, "big") & ((1 << 7 * length) - 1)
    return (_UNKNOWN_SIZE if value == (1 << 7 * length) - 1 else value), start + length


def _at(file: BinaryIO, start: int, count: int) -> bytes:
    file.seek(start)
    data = file.read(count)
    if len(data) < count:
        raise struct.error("the file ends")
    return data
