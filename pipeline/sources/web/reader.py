"""Fetching what web addresses name, with limits on time, size and redirects; private networks are refused.

One session for all; it belongs to the event loop that first fetches, and is closed by `aclose`. No error here holds a
URL: its query may be a signature.
"""

import socket
from collections.abc import Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pipeline.errors import ImageError, Unavailable
from pipeline.items import SourceImage
from pipeline.sources.options import SourceOptions
from pipeline.sources.web.addresses import is_allowed

if TYPE_CHECKING:
    import aiohttp

MOST_REDIRECTS = 5
MOST_CONNECTIONS_PER_HOST = 16
"""Politeness: a list often names one host."""
_CHUNK = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_THROTTLED = (429, 503)
_USER_AGENT = "nightcap (bulk image captioning)"
_HEADERS = {"User-Agent": _USER_AGENT, "Accept": "image/*,*/*;q=0.8", "Accept-Encoding": "identity"}


class WebReader:
    """A remote source of what `http://` and `https://` addresses name. An image's `address` counts before its `uri`."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._session: aiohttp.ClientSession | None = None

    def list(self) -> Iterator[SourceImage]:
        """Nothing: those that list have their own."""
        return iter(())

    async def fetch(self, image: SourceImage) -> bytes:
        return await self._get(_address(image), {}, self._options.max_bytes, cut=False)

    async def fetch_head(self, image: SourceImage, count: int) -> bytes:
        return await self._get(_address(image), _range(0, count), count, cut=True)

    async def fetch_part(self, image: SourceImage, offset: int, count: int) -> bytes:
        return await self.fetch_range(_address(image), offset, count)

    async def fetch_range(self, address: str, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`; fewer at the end only. ImageError when the server gives the whole file only."""
        data = await self._get(address, _range(offset, count), count, cut=offset == 0, partial=offset > 0)
        return data[:count]

    def read(self, image: SourceImage) -> bytes:
        import asyncio

        return asyncio.run(self._alone(lambda reader: reader.fetch(image)))

    def read_head(self, image: SourceImage, count: int) -> bytes:
        import asyncio

        return asyncio.run(self._alone(lambda reader: reader.fetch_head(image, count)))

    async def aclose(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _alone(self, fetch: Any) -> bytes:
        async with aclosing(WebReader(self._options)) as reader:
            data: bytes = await fetch(reader)
            return data

    async def _get(
        self, address: str, headers: dict[str, str], most: int, *, cut: bool, partial: bool = False
    ) -> bytes:
        """Up to `most` bytes. More than that: cut off there, or `too_large`. `partial`: only a part will do."""
        import asyncio

        import aiohttp

        try:
            async with asyncio.timeout(self._options.url_timeout_seconds):
                return await self._follow(address, headers, most, cut, partial)
        except TimeoutError:
            message = f"The image did not come within {self._options.url_timeout_seconds:g} s."
            raise ImageError("timeout", message) from None
        except ValueError:  # aiohttp's InvalidURL is one, and what yarl says of a redirect
            raise ImageError("unreadable", "The URL is not one that can be asked for.") from None
        except aiohttp.ClientPayloadError:
            raise ImageError("server_error", "The connection ended before the whole image had come.") from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _RefusedAddress):
                raise ImageError("private_address", str(error.os_error)) from None
            raise ImageError(
                "server_error", f"The host {error.host} cannot be reached: {_said(error.os_error)}."
            ) from None
        except aiohttp.ClientError as error:
            raise ImageError("server_error", f"The server broke off: {type(error).__name__}.") from None

    async def _follow(self, address: str, headers: dict[str, str], most: int, cut: bool, partial: bool) -> bytes:
        from yarl import URL

        session = self._opened()
        url = _parsed(address)
        for _ in range(MOST_REDIRECTS + 1):
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                target = response.headers.get("Location")
                if response.status in _REDIRECTS and target is not None:
                    url = response.url.join(URL(target, encoded=True))
                    if url.scheme not in ("http", "https") or not url.host:
                        raise ImageError("unreadable", "The server redirects to something that is no web address.")
                    continue
                if response.status == 416:  # a part of nothing
                    return b""
                _check_status(response, partial)
                return await _body(response, most, cut)
        raise ImageError("unreadable", f"The server redirects more than {MOST_REDIRECTS} times.")

    def _opened(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._session is None:
            connector = aiohttp.TCPConnector(limit_per_host=MOST_CONNECTIONS_PER_HOST, socket_factory=self._socket)
            self._session = aiohttp.ClientSession(
                connector=connector, headers=_HEADERS, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            )  # fmt: skip
        return self._session

    def _socket(self, info: Any) -> socket.socket:
        """The last word before a connection: whatever name or redirect led here, this is the address itself."""
        family, kind, protocol, _, address = info
        if not is_allowed(address[0], self._options.allow_private_network):
            raise _RefusedAddress
        return socket.socket(family, kind, protocol)


class _RefusedAddress(OSError):
    def __str__(self) -> str:
        return "The URL leads into a private network; --allow-private-network permits that."


def _address(image: SourceImage) -> str:
    return image.address or image.uri


def _range(offset: int, count: int) -> dict[str, str]:
    return {"Range": f"bytes={offset}-{offset + count - 1}"}


def _parsed(address: str) -> Any:
    """As it is where it is escaped already: a signature is over these very characters."""
    from yarl import URL

    return URL(address, encoded=address.isascii() and " " not in address)


def _check_status(response: "aiohttp.ClientResponse", partial: bool) -> None:
    status, host = response.status, response.url.host
    if status == 206 or (status == 200 and not partial):
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ImageError("unreadable", f"{host} sends it compressed, though that was not asked for.")
        return
    if status == 200:
        raise ImageError("unreadable", f"{host} sends whole files only, so nothing inside one can be read.")
    if status in (404, 410):
        raise ImageError("unreadable", f"{host} has no such image ({status}).")
    if status in (401, 403):
        raise ImageError("access_denied", f"{host} refuses access ({status}); a signature may have expired.")
    if status in _THROTTLED:
        raise Unavailable(f"{host} asks to come back later ({status}).")
    if status >= 500:
        raise ImageError("server_error", f"{host} is in trouble ({status}).")
    raise ImageError("unreadable", f"{host} does not give the image ({status}).")


async def _body(response: "aiohttp.ClientResponse", most: int, cut: bool) -> bytes:
    length = response.content_length
    if not cut and length is not None and length > most:
        raise ImageError("too_large", f"The image has {length} bytes, more than max_bytes = {most}.")
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > most and not cut:
            raise ImageError("too_large", f"The image has more than max_bytes = {most} bytes.")
        if len(data) >= most and cut:
            break
    return bytes(data[:most])


def _said(error: OSError) -> str:
    return error.strerror or type(error).__name__
