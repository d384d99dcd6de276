"""One HTTP session to one endpoint. Turns whatever the network does into a Response or a Failure; decides nothing."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pyreqwest.client
from pyreqwest.exceptions import RequestError
from pyreqwest.http import HeaderMap

from pipeline.api.endpoint import Endpoint
from pipeline.api.entra.tokens import Tokens
from pipeline.api.http.plain import Broken, PlainHttp, TooLong, Unreachable, plain_http
from pipeline.api.http.session import CONNECT_SECONDS, close_session, obey_cancellation, open_session
from pipeline.api.reading.text import parse_json
from pipeline.items import Failure
from pipeline.texts import one_line

# A caption is a few KB; a body without end must not fill the memory.
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
# Shorter keys are words like "none" or "EMPTY", which local servers are given.
MIN_KEY_CHARACTERS = 8
REDACTED = "[redacted]"

# How reqwest names the part of a request in which a cause arose, and rustls what it has against a certificate.
_WHILE_CONNECTING = "client error (Connect)"
_BAD_CERTIFICATE = "invalid peer certificate"
_TOO_LONG = Failure("server_error", f"The answer is longer than {MAX_RESPONSE_BYTES} bytes.")


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. Names of headers are in lower case."""

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
        self._plain: PlainHttp | None = None

    async def __aenter__(self) -> Self:
        endpoint, seconds = self.endpoint, self._timeout_seconds
        self._session = open_session(endpoint.url, seconds, endpoint.headers)
        if self._tokens is None:
            self._plain = plain_http(endpoint.url, endpoint.headers, endpoint.content_type, seconds, MAX_RESPONSE_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._plain:
            self._plain.close()
        if self._session:
            await close_session(self._session)
            self._session = None

    async def post(self, *parts: bytes) -> Response | Failure:
        """Send one request body, the parts one after the other."""
        if self._plain:
            return await self._post_plainly(self._plain, parts)
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

    async def _post_plainly(self, plain: PlainHttp, parts: Sequence[bytes]) -> Response | Failure:
        try:
            return _without_keys(*await plain.post(parts), self._keys)
        except Unreachable as error:
            return self._unreachable(str(error))
        except TooLong:
            return _TOO_LONG
        except TimeoutError:
            return self._timeout()
        except Broken as error:
            return self._broken(_hidden_in_line(str(error), self._keys))

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
            obey_cancellation()
        if content is not None and len(content) > MAX_RESPONSE_BYTES:
            return _TOO_LONG
        return _without_keys(response.status, _readable(response.headers), content.to_bytes() if content else b"", keys)

    def _failure(self, error: RequestError, keys: Sequence[str]) -> Failure:
        """Only what the causes say tells a connection that was refused from one that broke."""
        causes = [cause["message"] for cause in error.details["causes"] or ()]
        told = _hidden_in_line(causes[-1] if causes else error.message, keys)
        if _WHILE_CONNECTING not in causes:
            if isinstance(error, TimeoutError):
                return self._timeout()
            return self._broken(told)
        if told.startswith(_BAD_CERTIFICATE):
            # OpenSSL trusts an authority's certificate that is shown as a server's own, reqwest never does.
            own = "; one that signs itself must say CA:FALSE" if "CaUsedAsEndEntity" in told else ""
            return Failure("wrong_address", f"{told}{own}; SSL_CERT_FILE can name a file of those to trust.")
        if isinstance(error, TimeoutError):
            told = f"none within {CONNECT_SECONDS:g} s"
        return self._unreachable(told)

    def _timeout(self) -> Failure:
        return Failure("timeout", f"No complete answer within {self._timeout_seconds:g} s.")

    def _broken(self, told: str) -> Failure:
        return Failure("server_error", f"The connection broke before the answer was complete: {told}")

    def _unreachable(self, told: str) -> Failure:
        return Failure("unreachable", f"No connection to the endpoint: {told}")


def _keys_of(endpoint: Endpoint) -> tuple[str, ...]:
    """What is sent to the endpoint and must not come back."""
    keys = [value.rpartition(" ")[2] for value in endpoint.headers.values()]
    keys += endpoint.extension.secrets if endpoint.extension else ()
    escaped = [key.replace("/", "\\/") for key in keys if "/" in key]  # as some servers write JSON
    return tuple(key for key in (*keys, *escaped) if len(key) >= MIN_KEY_CHARACTERS)


def _without_keys(status: int, headers: dict[str, str], content: bytes, keys: Sequence[str]) -> Response:
    """A server may quote the very headers it was sent, in an error, an answer or a header. What has no form to know
    it by is known by its value; but a caption may well hold a word that somebody chose for a key.
    """
    for key in keys:
        if status >= 300 or not key.isalpha():
            content = content.replace(key.encode(), REDACTED.encode())
        if any(key in value for value in headers.values()):
            headers = {name: _hide(value, keys) for name, value in headers.items()}
    return Response(status, headers, content)


def _readable(headers: HeaderMap) -> dict[str, str]:
    """The first of each name. What is not ASCII pyreqwest gives to nobody, and nothing of ours reads it."""
    readable = {}
    for name in headers:
        with suppress(ValueError):
            readable[name.lower()] = headers[name]
    return readable


def _hide(text: str, keys: Sequence[str]) -> str:
    for key in keys:
        text = text.replace(key, REDACTED)
    return text


def _hidden_in_line(text: str, keys: Sequence[str]) -> str:
    return one_line(_hide(text, keys))
