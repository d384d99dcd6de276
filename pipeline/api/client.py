"""One HTTP session to one endpoint. Turns whatever the network does into a Response or a Failure; decides nothing."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

from pipeline.api.endpoint import Endpoint
from pipeline.api.failures import redact
from pipeline.items import Failure

# A caption is a few KB; a body without end must not fill the memory.
MAX_RESPONSE_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. Header names compare without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Posts bodies to an endpoint; an async context manager."""

    def __init__(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        self.endpoint = endpoint
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, connect=CONNECT_SECONDS)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {**self.endpoint.headers, "User-Agent": "nightcap"}
        # The throttle alone limits concurrency; aiohttp's own limit of 100 connections would be a second, hidden one.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers=headers, timeout=self._timeout, trust_env=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def post(self, body: bytes) -> Response | Failure:
        """Send one request body."""
        return await self._request("POST", self.endpoint.url, body)

    async def list_models(self) -> list[str] | Failure | Response:
        """The names of the models the endpoint offers; the Response itself when it is not such a list."""
        response = await self._request("GET", self.endpoint.models_url, None)
        if isinstance(response, Failure) or response.status != 200:
            return response
        try:
            return [str(model["id"]) for model in json.loads(response.body)["data"]]
        except (ValueError, KeyError, TypeError):
            return response

    async def _request(self, method: str, url: str, body: bytes | None) -> Response | Failure:
        assert self._session is not None, "used outside its context"
        headers = {"Content-Type": "application/json"} if body is not None else None
        try:
            # A redirect would carry the key and the image to another host.
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                content = await _read_bounded(response)
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
            return Failure("unreachable", f"No connection to the endpoint: {_text(error)}")
        except TimeoutError:
            return Failure("timeout", f"No complete answer within {self._timeout.total:g} s.")
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            return Failure("server_error", f"The connection broke before the answer was complete: {_text(error)}")
        if content is None:
            return Failure("server_error", f"The answer is longer than {MAX_RESPONSE_BYTES} bytes.")
        return Response(response.status, response.headers, content)


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


def _text(error: BaseException) -> str:
    return redact(str(error)) or type(error).__name__
