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

from pipeline.errors import RunError, UserError
from pipeline.objects import Location, open_objects
from pipeline.sources.listing.locations import web_place
from pipeline.sources.options import SourceOptions
from pipeline.sources.web.addresses import is_allowed

if TYPE_CHECKING:
    from obstore import ObjectMeta

_CHUNK = 1024 * 1024
_WAITS_SECONDS = (1, 3, 9, 27)
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
        self.version = (found["e_tag"] or f"{self.size}-{found['last_modified']}").removeprefix("W/").strip('"')

    def stream(self) -> BinaryIO:
        import obstore

        try:
            chunks = obstore.get(self._objects.store, self.location.path).stream(min_chunk_size=_CHUNK)
        except Exception as error:
            raise self._objects.explained(error) from None
        return cast(BinaryIO, io.BufferedReader(_Chunks(self._explained(chunks))))

    def read_at(self, offset: int, count: int) -> bytes:
        import obstore

        try:
            found = obstore.get_range(self._objects.store, self.location.path, start=offset, length=count)
        except Exception as error:
            raise self._objects.explained(error) from None
        return bytes(found)

    def _explained(self, chunks: Any) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                yield bytes(chunk)
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
            headers, self.has_ranges = answer.headers, answer.status == 206
        size = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length", "")
        self.version = (headers.get("ETag") or headers.get("Last-Modified") or size).strip('"')
        self.size = int(size) if size.isdigit() else 0

    def stream(self) -> BinaryIO:
        return cast(BinaryIO, io.BufferedReader(_Chunks(self._chunks())))

    def read_at(self, offset: int, count: int) -> bytes:
        if not self.has_ranges:
            raise UserError(f"{self.uri} cannot be read in parts: its server sends whole files only; copy it here.")
        with self._reading({"Range": f"bytes={offset}-{offset + count - 1}"}) as answer:
            data: bytes = answer.read(count)
        return data

    def _chunks(self) -> Iterator[bytes]:
        with self._reading({}) as answer:
            while chunk := answer.read(_CHUNK):
                yield chunk

    @contextmanager
    def _reading(self, headers: dict[str, str]) -> Iterator[Any]:
        """An answer that is read to its end: http.client alone takes a connection that breaks for the end."""
        with self._open(headers) as answer:
            try:
                yield answer
            except (OSError, http.client.HTTPException) as error:
                raise RunError(f"{self.uri} broke off ({type(error).__name__}); run again.") from None
            if answer.length:
                raise RunError(f"{self.uri} broke off {answer.length} bytes before its end; run again.")

    def _open(self, headers: dict[str, str]) -> Any:
        """The answer; trouble that may pass is waited for."""
        for wait in (*_WAITS_SECONDS, None):
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
