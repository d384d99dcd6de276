"""One file that holds or lists images: read from its start, or at any place. Blocking."""

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

from pipeline.errors import UserError
from pipeline.sources.files import uri_of

ReadAt = Callable[[int, int], bytes]
_BUFFER_BYTES = 1024 * 1024


class Stored(Protocol):
    """A file. Its methods raise UserError, RunError or OSError when it cannot be read."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        ...

    @property
    def uri(self) -> str:
        """Without any secret."""
        ...

    @property
    def address(self) -> str | None:
        """The whole URL, where `uri` leaves out a secret."""
        ...

    @property
    def base(self) -> str:
        """URI of the folder that it lies in; ends in `/`."""
        ...

    @property
    def version(self) -> str: ...

    @property
    def size(self) -> int: ...

    def stream(self) -> BinaryIO:
        """Its bytes from the start; to be closed."""
        ...

    def read_at(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`, fewer at the end of the file only."""
        ...


def read_at(path: str, offset: int, count: int) -> bytes:
    """`count` bytes of a local file from `offset`; fewer at its end only."""
    with open(path, "rb") as file:
        data = os.pread(file.fileno(), count, offset)
        while 0 < len(data) < count and (more := os.pread(file.fileno(), count - len(data), offset + len(data))):
            data += more
        return data


class LocalFile:
    """A file of this machine. UserError when it cannot be looked at."""

    address = None

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise UserError(f"The file {path!r} cannot be read: {error.strerror}.") from None
        self.name = os.path.basename(self.path)
        self.uri = uri_of(self.path)
        self.base = uri_of(os.path.dirname(self.path).rstrip("/") + "/")
        self.size = status.st_size
        self.version = f"{status.st_size}-{status.st_mtime_ns}"

    def stream(self) -> BinaryIO:
        try:
            return open(self.path, "rb")
        except OSError as error:
            raise UserError(f"The file {self.path!r} cannot be read: {error.strerror}.") from None

    def read_at(self, offset: int, count: int) -> bytes:
        return read_at(self.path, offset, count)


class AtAnyPlace(io.RawIOBase):
    """A file for libraries that want to move about in one."""

    def __init__(self, read_at: ReadAt, size: int) -> None:
        self._read_at = read_at
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("a position before the beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, count: int | None = -1) -> bytes:
        # Not the base's, which would make room for whatever count a damaged file says.
        left = max(0, self._size - self._position)
        wanted = left if count is None or count < 0 else min(count, left)
        data = self._read_at(self._position, wanted) if wanted else b""
        self._position += len(data)
        return data


class Window:
    """`read_at` of a file far away, a stretch at a time: headers that lie near each other come with one request."""

    def __init__(self, read_at: ReadAt, size: int, stretch: int) -> None:
        self._read_at = read_at
        self._size = size
        self._stretch = stretch
        self._start = 0
        self._data = b""

    def read_at(self, offset: int, count: int) -> bytes:
        at = offset - self._start
        if not 0 <= at <= at + count <= len(self._data):
            wanted = min(max(count, self._stretch), self._size - offset)
            self._start, at = offset, 0
            self._data = self._read_at(offset, wanted) if wanted > 0 else b""
        return self._data[at : at + count]


def for_arrow(file: Stored) -> Any:
    """What pyarrow opens."""
    if isinstance(file, LocalFile):
        return file.path
    return io.BufferedReader(AtAnyPlace(file.read_at, file.size), _BUFFER_BYTES)
