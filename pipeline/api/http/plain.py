"""POSTs by plain HTTP/1.1 in the event loop itself, to a server that no proxy stands before: one of this machine or
network, which may answer in no time, so that the way there is what counts.

Measured on two cores with bodies of 133 KB (`tests.benchmarks.bench_job`): through pyreqwest, whose own thread also
wants the interpreter's lock, a run makes 1,800 requests a second, with this 2,500. What is encrypted gains from that
thread, and goes by `session`. The answer is parsed by httptools (llhttp).
"""

import asyncio
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pipeline.api.http.session import ACCEPT_ENCODING, CONNECT_SECONDS, IDLE_SECONDS, USER_AGENT, proxy_for

MAX_HEADERS = 100
MAX_HEAD_BYTES = 256 * 1024
# Requests are looked at for their timeout so many times within one, and once a second at least: a timer for each takes
# 9 us, of 350 that a request takes in all.
LOOKS = 20
# Of zlib: a header of gzip or of zlib, whichever there is.
_GZIP_OR_ZLIB = 47
_CLOSED = "the server closed the connection."


class Unreachable(Exception):
    """No connection came about: nothing was sent."""


class Broken(Exception):
    """What came is no whole answer."""


class TooLong(Exception):
    """The answer has more bytes than are taken."""


class PlainHttp:
    """Posts to one address, and keeps its connections for the next time."""

    def __init__(self, host: str, port: int, head: bytes, *, timeout_seconds: float, max_bytes: int) -> None:
        """`head`: of a request, up to the number of bytes of its body. `max_bytes`: of an answer's body, unpacked."""
        self._host = host
        self._port = port
        self._head = head
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._idle: list[_Connection] = []
        self._in_use: set[_Connection] = set()
        self._looking = False

    async def post(self, parts: Sequence[bytes]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body of the answer to a body sent in parts, which leaves once.

        Raises Unreachable, TimeoutError when the whole takes too long, TooLong, Broken. A connection on which anything
        but a whole answer came, or whose caller was cancelled, is cut off.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._timeout_seconds
        connection = self._idle_connection(loop.time()) or await self._connect()
        answered = connection.expect(loop, ends)
        self._in_use.add(connection)
        if not self._looking:
            self._look_for_timeouts()
        try:
            connection.transport.writelines((self._head + b"%d\r\n\r\n" % sum(map(len, parts)), *parts))
            status, headers, body = await answered
        except BaseException:
            connection.transport.abort()
            raise
        finally:
            self._in_use.discard(connection)
        if connection.serves_again():
            connection.idle_since = loop.time()
            self._idle.append(connection)
        else:
            connection.transport.abort()
        if encoding := headers.get("content-encoding"):
            body = _unpacked(body, encoding, self._max_bytes)
        return status, headers, body

    def close(self) -> None:
        """End the connections that are idle; those in use end with their requests."""
        for connection in self._idle:
            connection.transport.abort()
        self._idle.clear()

    def _look_for_timeouts(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in self._in_use:
            if now >= connection.ends:
                connection.fail(TimeoutError())
        self._looking = bool(self._in_use)
        if self._looking:
            loop.call_later(min(1.0, self._timeout_seconds / LOOKS), self._look_for_timeouts)

    def _idle_connection(self, now: float) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if not connection.ended and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.transport.abort()
        return None

    async def _connect(self) -> "_Connection":
        seconds = min(CONNECT_SECONDS, self._timeout_seconds)
        try:
            async with asyncio.timeout(seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._max_bytes), self._host, self._port
                )
        except TimeoutError:
            raise Unreachable(f"none within {seconds:g} s") from None
        except OSError as error:
            told = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise Unreachable(told) from error
        if connection.ended:  # uvloop refuses to write to it
            raise Broken(_CLOSED)
        return connection


def plain_http(
    url: str, headers: Mapping[str, str], content_type: str, timeout_seconds: float, max_bytes: int
) -> PlainHttp | None:
    """What posts to `url`; None where it cannot: the address is encrypted, behind a proxy, or unusual."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
        (host or "").encode("idna")
    except ValueError:
        return None
    usual = parts.scheme == "http" and host and "@" not in parts.netloc and url.isascii() and url.isprintable()
    if not usual or " " in url or parts.fragment or proxy_for(url):
        return None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = {
        "Host": parts.netloc,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": ACCEPT_ENCODING,
        "Content-Type": content_type,
        **headers,
    }
    if not all(f"{name}{value}".isascii() and f"{name}{value}".isprintable() for name, value in fields.items()):
        return None
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "Content-Length: "]
    assert host
    return PlainHttp(host, port, "\r\n".join(lines).encode(), timeout_seconds=timeout_seconds, max_bytes=max_bytes)


class _Connection(asyncio.Protocol):
    """One request at a time. The methods named `on_...` are httptools' callbacks."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._answered: asyncio.Future[tuple[int, dict[str, str], bytes]] | None = None
        self._ends_with_connection = False
        self._kept = False
        self.lost = False
        self.idle_since = 0.0
        self.ends = 0.0
        """When the request takes too long."""

    def expect(self, loop: asyncio.AbstractEventLoop, ends: float) -> asyncio.Future[tuple[int, dict[str, str], bytes]]:
        """The next answer: status, headers, and body."""
        self.ends = ends
        self._parser = HttpResponseParser(self)
        self._ends_with_connection = False
        self._status = self._head_bytes = 0
        self._answered = loop.create_future()
        return self._answered

    @property
    def ended(self) -> bool:
        """Whether nothing more may be sent."""
        return self.lost or self.transport.is_closing()

    def serves_again(self) -> bool:
        """Whether the server keeps the connection, and has taken the whole request."""
        return self._kept and not self.ended and not self.transport.get_write_buffer_size()

    def fail(self, error: Exception) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        if self._answered is None or self._answered.done():
            self.lost = True  # an answer to nothing: who knows what the next one would be
            self.transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.lost = True
            self.fail(Broken(f"{error}."))
        if self._status < 200:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.fail(Broken("its head has no end."))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if exc is None and self._ends_with_connection:
            self._complete()
        self.fail(Broken(str(exc) if exc else _CLOSED))

    def on_message_begin(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}
        self._lines = 0
        self._body: list[bytes] = []
        self._bytes = 0
        self.lost = self.lost or self._answered is None or self._answered.done()  # as above

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines += 1
        if self._lines > MAX_HEADERS:
            self.fail(Broken("too many headers."))
        elif value.isascii():  # nothing of ours reads others
            self._headers.setdefault(name.decode("latin-1").lower(), value.decode())

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._kept = self._parser.should_keep_alive()
        self._ends_with_connection = self._headers.keys().isdisjoint(("content-length", "transfer-encoding"))

    def on_body(self, data: bytes) -> None:
        self._body.append(data)
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            self.fail(TooLong())

    def on_message_complete(self) -> None:
        if self._status >= 200:  # else "continue", and the like: the answer is yet to come
            self._complete()

    def _complete(self) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_result((self._status, self._headers, b"".join(self._body)))


def _unpacked(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Raises TooLong, or Broken for what is not packed as it says."""
    if encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        whole = unpacking.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise Broken(f"{error}.") from None
    if len(whole) > max_bytes:
        raise TooLong
    if not unpacking.eof:
        raise Broken("the packed answer is cut off.")
    return whole
