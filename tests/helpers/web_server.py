"""A web server of pictures that behaves, and one that does not. Both on 127.0.0.1."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class WebServer:
    """Files by path, without the first slash; what is not there is looked for among the misbehaviours."""

    files: Mapping[str, bytes]
    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Path with query, and the Range header."""
    sent_bytes: int = 0
    most_bytes: int | None = None
    """Of an answer, before the connection breaks."""
    has_ranges: bool = True

    @property
    def times(self) -> Counter[str]:
        return Counter(path for path, _ in self.requests)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.path_qs, request.headers.get("Range", "")))
        name = request.path[1:]
        if name in self.files:
            answer = self._file(request, self.files[name])
            return await self._cut(request, answer) if self.most_bytes is not None else answer
        misbehave = MISBEHAVIOURS.get(name.partition("/")[0].partition(".")[0])
        if misbehave is None:
            raise web.HTTPNotFound
        return await misbehave(request)

    def _file(self, request: web.Request, data: bytes) -> web.Response:
        size, part = len(data), request.http_range
        if not self.has_ranges or (part.start is None and part.stop is None):
            self.sent_bytes += size
            return web.Response(body=data, headers={"ETag": f'"{size}"', "Accept-Ranges": "bytes"})
        start, stop = part.start or 0, min(part.stop or size, size)
        if start >= size:
            return web.Response(status=416)
        self.sent_bytes += stop - start
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{size}", "ETag": f'"{size}"'}
        return web.Response(status=206, body=data[start:stop], headers=headers)

    async def _cut(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        body = answer.body
        assert isinstance(body, bytes)
        cut = web.StreamResponse(status=answer.status, headers={**answer.headers, "Content-Length": str(len(body))})
        await cut.prepare(request)
        await cut.write(body[: self.most_bytes])
        if len(body) > (self.most_bytes or 0):
            assert request.transport is not None
            request.transport.close()
        return cut


@asynccontextmanager
async def serve(files: Mapping[str, bytes]) -> AsyncIterator[WebServer]:
    """`files`, and every name in MISBEHAVIOURS."""
    server = WebServer(files)
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"http://127.0.0.1:{port}/"
    try:
        yield server
    finally:
        await runner.cleanup()


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(bytes(64 * 1024))


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b".")
        await asyncio.sleep(0.02)


async def _silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def _short(request: web.Request) -> web.StreamResponse:
    """Says 1000 bytes, sends 10 and hangs up."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"0123456789")
    assert request.transport is not None
    request.transport.close()
    return response


async def _huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(10**12)})
    await response.prepare(request)
    return response


async def _compressed(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})


async def _hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def _redirect(target: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": target})

    return answer


def _status(status: int, **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="no", headers=headers)

    return answer


MISBEHAVIOURS: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    "endless": _endless,
    "drip": _drip,
    "silent": _silent,
    "short": _short,
    "huge": _huge,
    "compressed": _compressed,
    "hang-up": _hang_up,
    "loop": _redirect("/loop.jpg"),
    "to-good": _redirect("/good.jpg"),
    "to-metadata": _redirect("http://169.254.169.254/latest/meta-data/"),
    "to-file": _redirect("file:///etc/passwd"),
    "to-nothing": _redirect("http:///"),
    "to-no-url": _redirect("http://[bad/"),
    "401": _status(401),
    "403": _status(403),
    "404": _status(404),
    "410": _status(410),
    "418": _status(418),
    "429": _status(429),
    "500": _status(500),
    "503": _status(503),
}
