"""One HTTP session to one endpoint. Turns whatever the network does into a Response or a Failure; decides nothing."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import pyreqwest.client
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import BuilderError, RequestError
from pyreqwest.http import HeaderMap
from pyreqwest.proxy import ProxyBuilder

from pipeline.api.endpoint import Endpoint
from pipeline.api.entra.tokens import Tokens
from pipeline.api.reading.text import parse_json
from pipeline.errors import UserError
from pipeline.items import Failure
from pipeline.texts import one_line

# A caption is a few KB; a body without end must not fill the memory.
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS = 20.0
# A server closes what is idle, and a request that meets the closing is lost: many wait 60 s and more, few less.
IDLE_SECONDS = 15.0
# Until a thread that has just woken us is out of the interpreter; see `Client.__aexit__`.
SETTLE_SECONDS = 0.01
# Shorter keys are words like "none" or "EMPTY", which local servers are given.
MIN_KEY_CHARACTERS = 8
REDACTED = "[redacted]"

_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1", re.I)
# How reqwest names the part of a request in which a cause arose, and rustls what it has against a certificate.
_WHILE_CONNECTING = "client error (Connect)"
_BAD_CERTIFICATE = "invalid peer certificate"


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
        self._timeout_seconds = timeout_seconds
        self._session: pyreqwest.client.Client | None = None

    async def __aenter__(self) -> Self:
        self._session = open_session(self.endpoint.url, self._timeout_seconds, self.endpoint.headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()
            self._session = None  # idle connections end with it
            # Requests run in a thread of their own, which may still be waking a task that was cancelled. Python before
            # 3.14 aborts when it exits meanwhile: 25 of 150 exits right after a cancellation, with a pause 0 of 300.
            await asyncio.sleep(SETTLE_SECONDS)

    async def post(self, *parts: bytes) -> Response | Failure:
        """Send one request body, the parts one after the other."""
        return await self._request("POST", self.endpoint.url, b"".join(parts), self.endpoint.content_type)

    async def send(self, method: str, url: str, *parts: bytes) -> Response | Failure:
        """Another request to the same host."""
        return await self._request(method, url, b"".join(parts) if parts else None)

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

    async def _request(
        self, method: str, url: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> Response | Failure:
        if self._tokens is None:
            return await self._send(method, url, body, content_type)
        token = await self._tokens.get()
        if isinstance(token, Failure):
            return token
        response = await self._send(method, url, body, content_type, token)
        if isinstance(response, Failure) or response.status != 401:
            return response
        # It may have expired on the way, or been revoked; only a refused fresh one says that we are not wanted.
        fresh = await self._tokens.instead_of(token)
        if fresh == token or isinstance(fresh, Failure):
            return response
        return await self._send(method, url, body, content_type, fresh)

    async def _send(
        self, method: str, url: str, body: bytes | None, content_type: str, token: str | None = None
    ) -> Response | Failure:
        assert self._session is not None, "used outside its context"
        keys = (*self._keys, token) if token else self._keys
        try:
            request = self._session.request(method, url)
            if body is not None:
                request = request.header("Content-Type", content_type).body_bytes(body)
            if token:
                request = request.bearer_auth(token)
            async with request.build_streamed() as response:
                content = await response.body_reader.read(MAX_RESPONSE_BYTES + 1)
        except ValueError as error:  # so is BuilderError
            return Failure("wrong_address", _hidden_in_line(str(error), keys))
        except RequestError as error:
            return self._failure(error, keys)
        finally:
            _obey_cancellation()
        if content is None:
            return _without_keys(response.status, response.headers, b"", keys)
        if len(content) > MAX_RESPONSE_BYTES:
            return Failure("server_error", f"The answer is longer than {MAX_RESPONSE_BYTES} bytes.")
        return _without_keys(response.status, response.headers, content.to_bytes(), keys)

    def _failure(self, error: RequestError, keys: Sequence[str]) -> Failure:
        """Only what the causes say tells a connection that was refused from one that broke."""
        causes = [cause["message"] for cause in error.details["causes"] or ()]
        told = _hidden_in_line(causes[-1] if causes else error.message, keys)
        if _WHILE_CONNECTING not in causes:
            if isinstance(error, TimeoutError):
                return Failure("timeout", f"No complete answer within {self._timeout_seconds:g} s.")
            return Failure("server_error", f"The connection broke before the answer was complete: {told}")
        if told.startswith(_BAD_CERTIFICATE):
            # OpenSSL trusts an authority's certificate that is shown as a server's own, reqwest never does.
            own = "; one that signs itself must say CA:FALSE" if "CaUsedAsEndEntity" in told else ""
            return Failure("wrong_address", f"{told}{own}; SSL_CERT_FILE can name a file of those to trust.")
        if isinstance(error, TimeoutError):
            told = f"none within {CONNECT_SECONDS:g} s"
        return Failure("unreachable", f"No connection to the endpoint: {told}")


def open_session(url: str, timeout_seconds: float, headers: Mapping[str, str]) -> pyreqwest.client.Client:
    """A session for requests to the host of `url`, over HTTP/1.1. `headers` go with each.

    No request leaves twice: one is sent again only when its connection was gone before a byte of it was written. One
    whose task is cancelled before its answer begins is not cut off; it ends as the server lets it, or at its timeout.
    """
    proxy = proxy_for(url)
    try:
        builder = (
            ClientBuilder()
            .user_agent("nightcap")
            .default_headers(headers)
            .timeout(timedelta(seconds=timeout_seconds))
            .connect_timeout(timedelta(seconds=CONNECT_SECONDS))
            .pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
            # A redirect would carry the key and the image to another host.
            .follow_redirects(False)
            .brotli(False)
            .zstd(False)
            .no_proxy()
        )
        if proxy:
            builder = builder.proxy(ProxyBuilder.all(proxy))
    except ValueError:
        raise UserError("The proxy that the environment names is no address; it looks like http://HOST:PORT.") from None
    if {urlsplit(address).scheme for address in (url, proxy) if address} == {"http"}:
        # No certificate will be seen, and without this a machine that has none to trust could not ask even itself.
        builder = builder.danger_accept_invalid_certs(True)
    try:
        return builder.build()
    except BuilderError:
        raise UserError(
            "This machine has no certificates to trust; install its ca-certificates or name a file in SSL_CERT_FILE."
        ) from None


def _obey_cancellation() -> None:
    """Raise what pyreqwest swallows when an answer and a cancellation meet, or a cancelled task would never end."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


def _keys_of(endpoint: Endpoint) -> tuple[str, ...]:
    """What is sent to the endpoint and must not come back."""
    keys = [value.rpartition(" ")[2] for value in endpoint.headers.values()]
    keys += endpoint.extension.secrets if endpoint.extension else ()
    escaped = [key.replace("/", "\\/") for key in keys if "/" in key]  # as some servers write JSON
    return tuple(key for key in (*keys, *escaped) if len(key) >= MIN_KEY_CHARACTERS)


def _without_keys(status: int, headers: HeaderMap, content: bytes, keys: Sequence[str]) -> Response:
    """A server may quote the very headers it was sent, in an error, an answer or a header. What has no form to know
    it by is known by its value; but a caption may well hold a word that somebody chose for a key.
    """
    for key in keys:
        if status >= 300 or not key.isalpha():
            content = content.replace(key.encode(), REDACTED.encode())
    values = _values(headers)
    if any(key in values for key in keys):
        headers = HeaderMap([(name, _hide(value, keys)) for name, value in headers.items()])
    return Response(status, headers, content)


def _values(headers: HeaderMap) -> str:
    """All values, each on a line. What is not ASCII is taken out of `headers`, which could not give it to anybody."""
    try:
        return "\n".join(headers.values())
    except ValueError:
        for name in set(headers):
            try:
                headers.getall(name)
            except ValueError:
                del headers[name]
        return "\n".join(headers.values())


def _hide(text: str, keys: Sequence[str]) -> str:
    for key in keys:
        text = text.replace(key, REDACTED)
    return text


def _hidden_in_line(text: str, keys: Sequence[str]) -> str:
    return one_line(_hide(text, keys))


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for `url`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    # What is on this machine, a local server or a rehearsal's, no proxy could reach.
    if _LOOPBACK.fullmatch(host) or proxy_bypass(host):
        return None
    proxy = getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy
