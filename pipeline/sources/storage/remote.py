"""Files in object stores and on web servers that list or hold images. Blocking, called by the one thread that lists.

What the user names himself may redirect as it likes; what a list names may not, see `web`.
"""

import http.client
import io
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast
from urllib.parse import urlsplit

from pipeline.errors import RunError, Unavailable, UserError
from pipeline.objects import Location, open_objects
from pipeline.sources.listing.locations import web_place
from pipeline.sources.options import SourceOptions
from pipeline.sources.storage.resuming import WAITS_SECONDS, resumed
from pipeline.sources.web.addresses import is_allowed

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

_CHUNK = 1024 * 1024
_TIMEOUT_SECONDS = 60.0


class ObjectFile:
    """An object. UserError when there is no such one."""

    address = None

    def __init__(self, location: Location) -> None:
        import obstore

        self.location = location
        self._objects = open_objects(location)
        self.uri = location.uri(location.path)
        self.name = location.path.rpartition("/")[2]
        self.base = self.uri.rpartition("/")[0] + "/"
        try:
            found: ObjectMeta = obstore.head(self._objects.store, location.path)
        except FileNotFoundError:
            raise UserError(f"There is no object {self.uri}; check bucket and name.") from None
        except Exception as error:
            raise self._objects.explained(error) from None
        self.size = found["size"]
        self._tag = found["e_tag"]
        self.version = (self._tag or f"{self.size}-{found['last_modified']}").removeprefix("W/").strip('"')

    def stream(self) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(_Chunks(resumed(self._from, self.uri))))

    def read_at(self, offset: int, count: int) -> bytes:
        return b"".join(resumed(lambda at: self._part(offset + at, count - at), self.uri))

    def _part(self, offset: int, count: int) -> Iterator[bytes]:
        import obstore

        try:
            yield bytes(obstore.get_range(self._objects.store, self.location.path, start=offset, length=count))
        except Exception as error:
            raise self._objects.explained(error) from None

    def _from(self, offset: int) -> Iterator[bytes]:
        import obstore
        from obstore.exceptions import PreconditionError

        options: GetOptions = {"range": {"offset": offset}, "if_match": self._tag} if offset else {}
        if offset == self.size:  # the connection broke at its very end
            return
        try:
            found = obstore.get(self._objects.store, self.location.path, options=options)
            for chunk in found.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)
        except PreconditionError:
            raise RunError(f"{self.uri} was changed while it was read; run again.") from None
        except Exception as error:
            raise self._objects.explained(error) from None


class WebFile:
    """A file at a web address. UserError when it cannot be had."""

    def __init__(self, url: str, options: SourceOptions) -> None:
        place = web_place(url)
        if place is None:
            raise UserError("A source is an http(s) address without a host, or with a space in it; check it.")
        self.uri = place.uri
        self.address = place.address
        self.name = self.uri.rpartition("/")[2]
        self.base = self.uri.rpartition("/")[0] + "/"
        self._url = url
        _check_network(self.uri, options)
        with self._open({"Range": "bytes=0-0"}) as answer:
            self.size, self._tag, self.has_ranges = _size(answer), _tag(answer), answer.status == 206
        self.version = (self._tag or str(self.size)).strip('"')

    def stream(self) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(_Chunks(resumed(self._from, self.uri))))

    def read_at(self, offset: int, count: int) -> bytes:
        if not self.has_ranges:
            raise UserError(f"{self.uri} cannot be read in parts: its server sends whole files only; copy it here.")
        return b"".join(resumed(lambda at: self._part(offset + at, offset + count), self.uri))

    def _part(self, start: int, end: int) -> Iterator[bytes]:
        with self._reading({"Range": f"bytes={start}-{end - 1}"}) as answer:
            if answer.status != 206:
                raise Unavailable(f"{self.uri} is not sent in parts any more; run again.")
            while chunk := answer.read(_CHUNK):
                yield chunk

    def _from(self, offset: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={offset}-", "If-Range": self._tag} if offset and self._tag else {}
        if offset and offset == self.size:
            return
        with self._reading(headers) as answer:
            if offset and (_tag(answer), _size(answer)) != (self._tag, self.size):
                raise RunError(f"{self.uri} was changed while it was read; run again.")
            skipped = offset if answer.status == 200 else 0  # a server that sends whole files only
            while skipped and (chunk := answer.read(min(skipped, _CHUNK))):
                skipped -= len(chunk)
            while chunk := answer.read(_CHUNK):
                yield chunk

    @contextmanager
    def _reading(self, headers: dict[str, str]) -> Iterator[Any]:
        """An answer that is read to its end: http.client alone takes a connection that breaks for the end."""
        with self._open(headers) as answer:
            try:
                yield answer
            except (OSError, http.client.HTTPException) as error:
                raise Unavailable(f"{self.uri} broke off ({type(error).__name__}); run again.") from None
            if answer.length:
                raise Unavailable(f"{self.uri} broke off {answer.length} bytes before its end; run again.")

    def _open(self, headers: dict[str, str]) -> Any:
        """The answer; trouble that may pass is waited for."""
        for wait in (*WAITS_SECONDS, None):
            try:
                return urllib.request.urlopen(
                    urllib.request.Request(self._url, headers=headers), timeout=_TIMEOUT_SECONDS
                )
            except urllib.error.HTTPError as error:
                error.close()
                if wait is None or (error.code not in (408, 429) and error.code < 500):
                    self._fail(f"answers {error.code}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                if wait is None or isinstance(error, ValueError | http.client.InvalidURL):
                    self._fail(f"cannot be read: {getattr(error, 'reason', type(error).__name__)}")
            time.sleep(wait)
        raise AssertionError

    def _fail(self, how: str) -> NoReturn:
        raise UserError(f"The source {self.uri} {how}; check the address, and its signature if it has one.")


def _size(answer: Any) -> int:
    """Of the whole file; 0 where the server does not say."""
    said = answer.headers.get("Content-Range", "").rpartition("/")[2] or answer.headers.get("Content-Length", "")
    return int(said) if said.isdigit() else 0


def _tag(answer: Any) -> str | None:
    """What the server tells one state of the file from another by."""
    tag: str | None = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    return tag


class _Chunks(io.RawIOBase):
    """What comes piece by piece, as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._chunks, b"")
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        if hasattr(self._chunks, "close"):
            self._chunks.close()
        super().close()


def _check_network(uri: str, options: SourceOptions) -> None:
    parts = urlsplit(uri)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise RunError(f"The source {uri} cannot be reached: {error.strerror}.") from None
    if not all(is_allowed(str(address[0]), options.allow_private_network) for *_, address in found):
        raise UserError(f"The source {uri} leads into a private network; --allow-private-network permits that.")
