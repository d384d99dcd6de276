"""One file that holds or lists images, wherever it lies: read from its start, or at any place."""

import os
from typing import Any, BinaryIO, Protocol

from pipeline.errors import UserError
from pipeline.sources.files import uri_of


class Stored(Protocol):
    """A file. Its methods raise OSError, or what fits better, when it cannot be read."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        ...

    @property
    def uri(self) -> str: ...

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

    def for_arrow(self) -> Any:
        """What pyarrow opens."""
        ...

    def local_path(self) -> str:
        """UserError when it is on another machine."""
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

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise UserError(f"The file {path!r} cannot be read: {error.strerror}.") from None
        self.name = os.path.basename(self._path)
        self.uri = uri_of(self._path)
        self.base = uri_of(os.path.dirname(self._path).rstrip("/") + "/")
        self.size = status.st_size
        self.version = f"{status.st_size}-{status.st_mtime_ns}"

    def stream(self) -> BinaryIO:
        try:
            return open(self._path, "rb")
        except OSError as error:
            raise UserError(f"The file {self._path!r} cannot be read: {error.strerror}.") from None

    def read_at(self, offset: int, count: int) -> bytes:
        return read_at(self._path, offset, count)

    def for_arrow(self) -> str:
        return self._path

    def local_path(self) -> str:
        return self._path
