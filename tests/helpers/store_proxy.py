"""A proxy before an object store: counts what is asked, and makes trouble to order."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import aiohttp
from aiohttp import web
from yarl import URL

Trouble = Callable[[str, str], web.Response | None]
"""From the kind of a request and the path asked for, to an answer in the store's place."""

_HOP_HEADERS = ("transfer-encoding", "content-encoding", "content-length", "connection", "keep-alive", "server", "date")


@dataclass(slots=True)
class Proxy:
    """Counts by kind: `list`, `get` (whole), `range`, `head`, `put`, `delete`."""

    endpoint: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    as_google: bool = False
    trouble: Trouble | None = None
    bytes_sent: int = 0
    most_bytes: int | None = None
    """Of an answer, before the connection breaks."""
    most_at_once: int = 0
    at_once: int = 0


@asynccontextmanager
async def proxied(upstream: str, *, as_google: bool = False) -> AsyncIterator[Proxy]:
    """On a free port of 127.0.0.1, in this event loop. `as_google`: `upstream` speaks S3, but is
    told of unsigned requests with needless escapes as if they were not."""
    proxy = Proxy(as_google=as_google)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            proxy.at_once += 1
            proxy.most_at_once = max(proxy.most_at_once, proxy.at_once)
            try:
                return await _forwarded(proxy, session, upstream, request)
            finally:
                proxy.at_once -= 1

        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()


async def _forwarded(
    proxy: Proxy, session: aiohttp.ClientSession, upstream: str, request: web.Request
) -> web.StreamResponse:
    kind = _kind_of(request)
    proxy.counts[kind] += 1
    if proxy.trouble is not None and (instead := proxy.trouble(kind, request.path)) is not None:
        return instead
    raw, headers = request.raw_path, {name: value for name, value in request.headers.items() if name.lower() != "host"}
    headers["Host"] = upstream.partition("://")[2]
    if proxy.as_google:
        raw, headers["Authorization"] = f"{quote(request.path)}?{request.query_string}", "AWS test:test"
    async with session.request(
        request.method,
        URL(upstream + raw, encoded=True),
        headers=headers,
        data=await request.read() or None,  # an empty body would add headers, which a signature does not know
        skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
    ) as found:
        answer = await found.read()
        proxy.bytes_sent += len(answer)
        kept = {name: value for name, value in found.headers.items() if name.lower() not in _HOP_HEADERS}
        if proxy.most_bytes is not None and len(answer) > proxy.most_bytes:
            return await _cut(request, found.status, kept | {"Content-Length": str(len(answer))}, proxy, answer)
        if request.method == "HEAD":
            kept["Content-Length"] = found.headers.get("Content-Length", "0")
        return web.Response(status=found.status, body=answer or None, headers=kept)


async def _cut(
    request: web.Request, status: int, headers: dict[str, str], proxy: Proxy, answer: bytes
) -> web.StreamResponse:
    cut = web.StreamResponse(status=status, headers=headers)
    await cut.prepare(request)
    await cut.write(answer[: proxy.most_bytes])
    assert request.transport is not None
    request.transport.close()
    return cut


def _kind_of(request: web.Request) -> str:
    if request.method == "GET" and ("list-type" in request.query or request.query.get("comp") == "list"):
        return "list"
    if request.method == "GET":
        return "range" if {"Range", "x-ms-range"} & set(request.headers) else "get"
    return request.method.lower()


def slow_down(kind: str, path: str) -> web.Response:
    """S3's answer when it is asked too much."""
    body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    return web.Response(status=503, text=body, content_type="application/xml")


def denied(kind: str, path: str) -> web.Response:
    body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    return web.Response(status=403, text=body, content_type="application/xml")
