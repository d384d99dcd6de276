"""As much of S3 as listing and reading take, for a bucket of any size: moto's server needs 5 ms for each request.

Every object is the same small picture. Counts what it is asked.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

PAGE = 1000


@dataclass(slots=True)
class LargeBucket:
    count: int
    picture: bytes
    endpoint: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        if "list-type" in request.query:
            return self._listed(request)
        limits = request.headers.get("Range")
        self.counts["range" if limits else "get"] += 1
        first, last = (int(part) for part in limits.removeprefix("bytes=").split("-")) if limits else (0, 10**9)
        body = self.picture[first : last + 1]
        self.bytes_sent += len(body)
        headers = {"ETag": '"same"', "Last-Modified": "Sat, 21 Nov 2026 00:00:00 GMT"}
        if limits:
            headers["Content-Range"] = f"bytes {first}-{first + len(body) - 1}/{len(self.picture)}"
        return web.Response(status=206 if limits else 200, body=body, headers=headers)

    def _listed(self, request: web.Request) -> web.Response:
        self.counts["list"] += 1
        start = int(request.query.get("continuation-token", 0))
        end = min(start + PAGE, self.count)
        rows = "".join(
            f"<Contents><Key>{number // 1000:04}/{number:07}.jpg</Key><LastModified>2026-11-21T00:00:00.000Z"
            f"</LastModified><ETag>&quot;same&quot;</ETag><Size>{len(self.picture)}</Size></Contents>"
            for number in range(start, end)
        )
        more = end < self.count
        token = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
        text = f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        self.bytes_sent += len(text)
        return web.Response(text=text, content_type="application/xml")


@asynccontextmanager
async def large_bucket(count: int, picture: bytes) -> AsyncIterator[LargeBucket]:
    """On a free port of 127.0.0.1, in this event loop; whatever bucket is asked for."""
    bucket = LargeBucket(count, picture)
    app = web.Application()
    app.router.add_get("/{path:.*}", bucket.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        bucket.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield bucket
    finally:
        await runner.cleanup()
