"""The members of a tar, one header at a time. tarfile reads the headers; what it may read is limited here.

Its input can only be moved forwards, so that headers with negative sizes cannot send it in circles (CVE-2025-8194 is
open in many a Python 3.11), and no header is longer than a name can be.
"""

import tarfile
from collections.abc import Iterator

from pipeline.items import Failure
from pipeline.sources.archives.members import Extent, Member
from pipeline.sources.storage.stored import ReadAt

LONGEST_HEADER = 1024 * 1024
BLOCK = 512


class DamagedArchive(Exception):
    """The rest of an archive cannot be listed; the text says why."""


def tar_members(read_at: ReadAt, size: int | None, version: str, gzipped: bool = False) -> Iterator[Member]:
    """The members that are files or links. `size` and `version` are the archive's; `size` None: nobody knows.

    Raises DamagedArchive, after the members that came before.
    """
    try:
        file = _Forwards(read_at)
        with tarfile.TarFile(fileobj=file) as archive:  # type: ignore[arg-type]
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would remember all of them
                if info.isreg() or info.islnk() or info.issym():
                    yield _member(info, size, version, gzipped)
            # tarfile takes a header that is none for the end, and says nothing of what lies behind it.
            if any(file.last_read):
                raise tarfile.ReadError("a header is damaged or cut off")
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        raise DamagedArchive(str(error) or type(error).__name__) from error


def _member(info: tarfile.TarInfo, size: int | None, version: str, gzipped: bool) -> Member:
    # A tar made to be reproducible has the same time everywhere; then only the archive's own version tells.
    own = f"{info.size}-{int(info.mtime)}" if info.mtime > 0 else f"{info.size}-{version}"
    failure = None
    if not info.isreg():
        failure = Failure("link", "It is a link; name the member that it points to.")
    elif info.issparse():
        failure = Failure("unreadable", "It is stored as a sparse file; pack it without --sparse.")
    elif size is not None and info.offset_data + info.size > size:
        failure = Failure("unreadable", "The archive ends before this member does.")
    place = None if failure else Extent(info.offset_data, info.size, gzipped)
    return Member(info.name, info.size, own, place, failure)


class _Forwards:
    """A file that tarfile reads."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._position = 0
        self.last_read = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> int:
        if position < self._position - BLOCK:  # tarfile looks at the byte before a header, and no further back
            raise tarfile.ReadError("a header points backwards")
        self._position = position
        return position

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= LONGEST_HEADER:
            raise tarfile.ReadError("a header of impossible length")
        self.last_read = data = self._read_at(self._position, count)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Nothing is held."""
