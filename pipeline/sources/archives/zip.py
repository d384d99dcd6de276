"""The members of a zip: its directory is at its end, and read whole (about 500 bytes a member while it is listed)."""

import struct
import zipfile
import zlib
from collections.abc import Iterator

from pipeline.errors import ImageError
from pipeline.items import Failure
from pipeline.sources.archives.members import DEFLATED, STORED, Member, Packed
from pipeline.sources.archives.tar import DamagedArchive
from pipeline.sources.storage.stored import AtAnyPlace, ReadAt

_ENCRYPTED = 0x1
_LOCAL_HEADER = struct.Struct("<4s22xHH")
LOCAL_HEADER_BYTES = _LOCAL_HEADER.size
_SLACK = 4096
"""Deflate makes what cannot be packed longer, by 5 bytes in 16 K."""


def zip_members(read_at: ReadAt, size: int) -> Iterator[Member]:
    """Raises DamagedArchive."""
    try:
        directory = zipfile.ZipFile(AtAnyPlace(read_at, size))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, EOFError) as error:
        raise DamagedArchive(str(error) or type(error).__name__) from error
    for info in directory.infolist():
        if not info.is_dir():
            yield _member(info, size)


def _member(info: zipfile.ZipInfo, size: int) -> Member:
    failure = None
    if info.flag_bits & _ENCRYPTED:
        failure = Failure("encrypted", "It is encrypted; pack it without a password.")
    elif info.compress_type not in (STORED, DEFLATED):
        failure = Failure("unsupported_compression", f"Method {info.compress_type} is neither stored nor deflated.")
    elif info.header_offset + LOCAL_HEADER_BYTES + info.compress_size > size:
        failure = Failure("unreadable", "It lies outside the archive.")
    elif (info.external_attr >> 16) & 0o170000 == 0o120000:
        failure = Failure("link", "It is a link; name the member that it points to.")
    place = Packed(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
    return Member(
        info.filename, info.file_size, f"{info.file_size}-{info.CRC:08x}", None if failure else place, failure
    )


def data_offset(place: Packed, header: bytes) -> int:
    """Where the packed bytes begin, from the member's local header."""
    if len(header) < LOCAL_HEADER_BYTES or not header.startswith(b"PK\x03\x04"):
        raise ImageError("unreadable", "The zip holds nothing where its directory says; it changed or is damaged.")
    _, name, extra = _LOCAL_HEADER.unpack_from(header)
    return int(place.header + LOCAL_HEADER_BYTES + name + extra)


def packed_bytes_for(place: Packed, count: int | None) -> int:
    """How many packed bytes are enough for the first `count` bytes; None: for all."""
    return place.packed if count is None else min(place.packed, count + count // 8 + _SLACK)


def unpacked(place: Packed, data: bytes, count: int | None) -> bytes:
    """The first `count` bytes, None: all, checked. No more is unpacked than the archive says, whatever is in it."""
    most = place.size if count is None else min(count, place.size)
    if place.method == STORED:
        whole = data[:most]
    else:
        try:
            unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
            whole = unpacker.decompress(data, most) if most else b""
        except zlib.error as error:
            raise ImageError("unreadable", f"The member does not unpack: {error}.") from None
    if count is None and (len(whole) != place.size or zlib.crc32(whole) != place.crc):
        raise ImageError("unreadable", "The member does not unpack to what the archive says; it is damaged.")
    return whole
