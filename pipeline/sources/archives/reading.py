"""Reading members of archives on this machine, by the place that their URI names."""

import threading
from collections import OrderedDict

from pipeline.errors import ImageError
from pipeline.sources.archives.gunzip import Gunzip
from pipeline.sources.archives.members import Extent, Packed
from pipeline.sources.archives.zip import LOCAL_HEADER_BYTES, data_offset, packed_bytes_for, unpacked
from pipeline.sources.storage.stored import read_at

OPEN_GZIPS = 4


class MemberReader:
    """Reads from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._gzips: OrderedDict[str, Gunzip] = OrderedDict()

    def read(self, path: str, place: Extent | Packed, count: int | None = None) -> bytes:
        """The whole member, or its first `count` bytes. Raises ImageError `unreadable` or `too_large`."""
        check_size(place, count, self._max_bytes)
        try:
            if isinstance(place, Packed):
                return self._unpacked(path, place, count)
            wanted = place.size if count is None else min(count, place.size)
            data = (
                self._gzip(path).read_at(place.offset, wanted) if place.gzipped else read_at(path, place.offset, wanted)
            )
        except (OSError, EOFError) as error:
            said = (error.strerror if isinstance(error, OSError) else None) or error
            raise ImageError("unreadable", f"The archive cannot be read: {said}.") from error
        if len(data) != wanted:
            raise ImageError("unreadable", "The archive ends before this member does.")
        return data

    def _unpacked(self, path: str, place: Packed, count: int | None) -> bytes:
        start = data_offset(place, read_at(path, place.header, LOCAL_HEADER_BYTES))
        return unpacked(place, read_at(path, start, packed_bytes_for(place, count)), count)

    def _gzip(self, path: str) -> Gunzip:
        with self._lock:
            opened = self._gzips.pop(path, None) or Gunzip(path)
            self._gzips[path] = opened
            if len(self._gzips) > OPEN_GZIPS:
                self._gzips.popitem(last=False)
            return opened


def check_size(place: Extent | Packed, count: int | None, max_bytes: int) -> None:
    """Refuse a member that is too large before anything of it is read; both of a packed one's sizes count."""
    size = max(place.size, place.packed) if isinstance(place, Packed) else place.size
    if size > max_bytes and (count is None or count > max_bytes):
        raise ImageError("too_large", f"The member has {size} bytes, more than max_bytes = {max_bytes}.")
