"""The URL of Image Analysis, with its key and its limit."""

import math
from collections.abc import Callable

from aiohttp import web

from pipeline.clock import Clock
from pipeline.emulator.analysis.answers import PATH, Analysis, analyse
from pipeline.emulator.limits import Limit
from pipeline.emulator.wire.errors import Rejected, WireError

CheckKey = Callable[[str | None, bool], None]
"""Told the key or token, and whether it is a token; Rejected when it is not the right one."""


class AnalysisRoutes:
    """What a web server needs to answer as Image Analysis."""

    def __init__(self, rpm: float | None, clock: Clock, check_key: CheckKey, count: Callable[[int], None]) -> None:
        """`rpm`: transactions per minute, held to over each second too as in tier S1; `count` is told each status."""
        self._limit = Limit("azure", "requests", rpm, 1.0) if rpm else None
        self._clock = clock
        self._check_key = check_key
        self._count = count

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self._analyse)]

    async def _analyse(self, request: web.Request) -> web.Response:
        headers: dict[str, str] = {}
        try:
            body = await request.read()
            self._check_key(*_credential(request))
            self._admit(request.query.get("api-version", ""))
            answer, status = analyse(Analysis(dict(request.query), request.content_type, body)), 200
        except Rejected as rejected:
            answer, status = rejected.error.body(), rejected.error.status
            if (seconds := rejected.error.retry_after) is not None:
                headers["Retry-After"] = str(math.ceil(seconds))
            headers["x-ms-error-code"] = str(rejected.error.code)
        except web.HTTPRequestEntityTooLarge as error:
            answer, status = b"", error.status
        self._count(status)
        return web.Response(body=answer, status=status, headers=headers, content_type="application/json")

    def _admit(self, version: str) -> None:
        now = self._clock.monotonic()
        if self._limit is None:
            return
        if denied := self._limit.check(now, 1):
            seconds = math.ceil(denied.wait_seconds)
            message = (
                f"Requests to the ImageAnalysis_Analyze Operation under Computer Vision API ({version}) have exceeded "
                f"call rate limit of your current ComputerVision S1 pricing tier. Please retry after {seconds} "
                f"second{'s' if seconds != 1 else ''}."
            )
            error = WireError(429, message, code="429", azure_gateway=True, retry_after=denied.wait_seconds)
            raise Rejected(error)
        self._limit.take(now, 1)


def _credential(request: web.Request) -> tuple[str | None, bool]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token, True
    return request.headers.get("Ocp-Apim-Subscription-Key"), False
