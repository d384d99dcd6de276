"""Local files: their keys and URIs, and reading them. Whatever bytes a name is made of, it is found again."""

import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from urllib.parse import quote_from_bytes, unquote_to_bytes

from pipeline.errors import ImageError
from pipeline.items import SourceImage
from pipeline.sources.options import SourceOptions

SCHEME = "file://"
is_plain = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch
"""Whether a name needs no escape, neither as key nor in a URI."""
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_LIKE_ESCAPED = re.compile(r"\\x[89a-f][0-9a-f]")


def key_of(name: str) -> str:
    r"""A file or folder name as part of a key: valid Unicode, the same on every machine, and no two names alike.

    Bytes that are not UTF-8 become `\xff`. In such names, and in those that only look like it, every backslash that
    was there before is doubled.
    """
    if is_plain(name):
        return name
    raw = os.fsencode(name)
    try:
        key = raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        if not _LIKE_ESCAPED.search(key):
            return key
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def quoted(name: str) -> str:
    """A name, or a path with `/`, as part of a URI."""
    return name if is_plain(name) else quote_from_bytes(os.fsencode(name))


def uri_of(path: str) -> str:
    return SCHEME + quoted(path)


def path_of(uri: str) -> str:
    """The path that `uri_of` was given, byte for byte."""
    path = uri.removeprefix(SCHEME)
    return os.fsdecode(unquote_to_bytes(path)) if "%" in path else path


def listed(path: str, key: str, uri: str) -> SourceImage:
    """The file at `path` as it is now; one that cannot be looked at is listed too, and fails when it is read."""
    try:
        status = os.stat(path)
    except OSError:
        return SourceImage(key, uri, "unreadable")
    return SourceImage(key, uri, f"{status.st_size}-{status.st_mtime_ns}", status.st_size)


class LocalFiles:
    """Reads what a `file://` URI names; holds nothing that changes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def read(self, image: SourceImage) -> bytes:
        return _with_file(image.uri, self._whole)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return _with_file(image.uri, lambda file, size: _read(file, min(count, size)))

    def _whole(self, file: int, size: int) -> bytes:
        if size > self._max_bytes:
            raise ImageError("too_large", f"The file has {size} bytes, more than max_bytes = {self._max_bytes}.")
        data = os.read(file, size + 1)  # one more than there should be, to notice that it grows
        if len(data) < size:  # one call reads 2 GB at most
            data += _read(file, size + 1 - len(data))
        if len(data) != size:
            raise ImageError("unreadable", "The file changed while it was read; the next run takes it up.")
        return data


class File(LocalFiles):
    """One file, whatever its name; the key is the name."""

    def __init__(self, path: str, options: SourceOptions) -> None:
        super().__init__(options.max_bytes)
        self._path = os.path.abspath(path)

    def list(self) -> Iterator[SourceImage]:
        yield listed(self._path, key_of(os.path.basename(self._path)), uri_of(self._path))


def _with_file(uri: str, read: Callable[[int, int], bytes]) -> bytes:
    """What `read` makes of a file's descriptor and its size now.

    No file object, and no context manager of our own: each costs about as much again as reading a header (2 us).
    """
    try:
        # Without waiting: a pipe that poses as an image would otherwise wait for its writer for ever.
        file = os.open(path_of(uri), os.O_RDONLY | _NO_WAITING)
        try:
            status = os.fstat(file)
            if stat.S_ISREG(status.st_mode):
                return read(file, status.st_size)
        finally:
            os.close(file)
    except OSError as error:
        raise ImageError("unreadable", f"The file cannot be read: {error.strerror or error}.") from error
    raise _not_regular(status)


def open_file(uri: str, most: int) -> io.FileIO:
    """The regular file that a `file://` URI names, to move about in. ImageError `unreadable`, or above `most` bytes."""
    try:
        file = io.FileIO(os.open(path_of(uri), os.O_RDONLY | _NO_WAITING))
    except OSError as error:
        raise ImageError("unreadable", f"The file cannot be read: {error.strerror or error}.") from error
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size <= most:
        return file
    file.close()
    if stat.S_ISREG(status.st_mode):
        raise ImageError("too_large", f"The file has {status.st_size} bytes, more than max_video_bytes = {most}.")
    raise _not_regular(status)


def _not_regular(status: os.stat_result) -> ImageError:
    if stat.S_ISDIR(status.st_mode):
        return ImageError("unreadable", "The folder could not be listed; give permission and run again.")
    return ImageError("unreadable", "This is not a regular file; exclude it.")


def _read(file: int, count: int) -> bytes:
    """Up to `count` bytes; fewer at the end of the file only. One system call nearly always."""
    data = os.read(file, count)
    while len(data) < count and (more := os.read(file, count - len(data))):
        data += more
    return data
