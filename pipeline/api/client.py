"""One HTTP session to one endpoint. Turns whatever the network does into a Response or a Failure; decides nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from pipeline.api.endpoint import Endpoint
from pipeline.api.entra.tokens import Tokens
from pipeline.api.reading.text import parse_json
from pipeline.items import Failure
from pipeline.texts import one_line

# A caption is a few KB; a body without end must not fill the memory.
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS = 20.0
# Shorter keys are words like "none" or "EMPTY", which local servers are given.
MIN_KEY_CHARACTERS = 8
REDACTED = "[redacted]"

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1", re.I)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. Header names compare without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Posts bodies to an endpoint; an async context manager."""

    def __init__(self, endpoint: Endpoint, timeout_seconds: float, tokens: Tokens | None = None) -> None:
        """`tokens`: what an endpoint without a key is shown."""
        self.endpoint = endpoint
        self._tokens = tokens
        self._keys = _keys_of(endpoint)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=CONNECT_SECONDS)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # The throttle alone limits concurrency; aiohttp's own limit of 100 would be a second, hidden one.
            connector=aiohttp.TCPConnector(limit=0),
            # A load balancer's cookie would send every request to the same of its servers.
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={**self.endpoint.headers, "User-Agent": "nightcap"},
            proxy=proxy_for(self.endpoint.url),
            timeout=self._timeout,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def post(self, *parts: bytes) -> Response | Failure:
        """Send one request body, the parts one after the other."""
        return await self._request("POST", self.endpoint.url, _Body(parts, self.endpoint.content_type))

    async def send(self, method: str, url: str, *parts: bytes) -> Response | Failure:
        """Another request to the same host."""
        return await self._request(method, url, _Body(parts, "application/json") if parts else None)

    async def list_models(self) -> list[str] | Response | Failure:
        """The names of the models the endpoint offers; the Response itself when it is not such a list."""
        response = await self._request("GET", self.endpoint.models_url, None)
        if isinstance(response, Failure) or response.status != 200:
            return response
        document = parse_json(response.body)
        models = document.get("data") if isinstance(document, dict) else None
        if not isinstance(models, list):
            return response
        return [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]

    async def _request(self, method: str, url: str, body: "_Body | None") -> Response | Failure:
        if self._tokens is None:
            return await self._send(method, url, body)
        token = await self._tokens.get()
        if isinstance(token, Failure):
            return token
        response = await self._send(method, url, body, token)
        if isinstance(response, Failure) or response.status != 401:
            return response
        # It may have expired on the way, or been revoked; only a refused fresh one says that we are not wanted.
        fresh = await self._tokens.instead_of(token)
        return response if fresh == token or isinstance(fresh, Failure) else await self._send(method, url, body, fresh)

    async def _send(self, method: str, url: str, body: "_Body | None", token: str | None = None) -> Response | Failure:
        assert self._session is not None, "used outside its context"
        headers, keys = ({"Authorization": f"Bearer {token}"}, (*self._keys, token)) if token else (None, self._keys)
        try:
            # A redirect would carry the key and the image to another host.
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                content = await _read_bounded(response)
        except (aiohttp.InvalidURL, aiohttp.ClientConnectorCertificateError) as error:
            return Failure("wrong_address", _text(error, keys))
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError) as error:
            return Failure("unreachable", f"No connection to the endpoint: {_text(error, keys)}")
        except TimeoutError:
            return Failure("timeout", f"No complete answer within {self._timeout.total:g} s.")
        except (aiohttp.ClientError, OSError) as error:
            return Failure("server_error", f"The connection broke before the answer was complete: {_text(error, keys)}")
        if content is None:
            return Failure("server_error", f"The answer is longer than {MAX_RESPONSE_BYTES} bytes.")
        return _without_keys(response, content, keys)


def _keys_of(endpoint: Endpoint) -> tuple[str, ...]:
    """What is sent to the endpoint and must not come back."""
    keys = [value.rpartition(" ")[2] for value in endpoint.headers.values()]
    keys += endpoint.extension.secrets if endpoint.extension else ()
    escaped = [key.replace("/", "\\/") for key in keys if "/" in key]  # as some servers write JSON
    return tuple(key for key in (*keys, *escaped) if len(key) >= MIN_KEY_CHARACTERS)


def _without_keys(response: aiohttp.ClientResponse, content: bytes, keys: Sequence[str]) -> Response:
    """A server may quote the very headers it was sent, in an error, an answer or a header. What has no form to know
    it by is known by its value; but a caption may well hold a word that somebody chose for a key.
    """
    for key in keys:
        if response.status >= 300 or not key.isalpha():
            content = content.replace(key.encode(), REDACTED.encode())
    headers: Mapping[str, str] = response.headers
    if any(key in value for value in headers.values() for key in keys):
        hidden = response.headers.copy()
        for name, value in response.headers.items():
            hidden[name] = _hide(value, keys)
        headers = hidden
    return Response(response.status, headers, content)


def _hide(text: str, keys: Sequence[str]) -> str:
    for key in keys:
        text = text.replace(key, REDACTED)
    return text


def _text(error: BaseException, keys: Sequence[str]) -> str:
    return one_line(_hide(str(error), keys)) or type(error).__name__


class _Body(aiohttp.Payload):
    """In parts: the large one fits every endpoint, the small one only this. Written as one: a copy (8 us for 130
    KB) costs less than a system call more, which also wakes the server twice.
    """

    _autoclose = True  # bytes in memory, which can also be sent twice

    def __init__(self, parts: Sequence[bytes], content_type: str) -> None:
        super().__init__(parts, content_type=content_type)
        self._size = sum(map(len, parts))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        await writer.write(b"".join(self._value))


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for `url`.

    Not left to aiohttp (`trust_env`): it would look into the environment and into .netrc in a thread for every request,
    which takes longer than the rest of it (measured 2,200 requests/s instead of 5,800), and would raise when .netrc
    names the host.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    # What is on this machine, a local server or a rehearsal's, no proxy could reach.
    return None if _LOOPBACK.fullmatch(host) or proxy_bypass(host) else getproxies().get(parts.scheme)


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, or None when it is longer than we are willing to hold."""
    if (response.content_length or 0) > MAX_RESPONSE_BYTES:
        return None
    chunks: list[bytes] = []
    total = 0
    async for chunk in response.content.iter_any():
        total += len(chunk)
        if total > MAX_RESPONSE_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
