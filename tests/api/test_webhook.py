"""A webhook that works, refuses, breaks, redirects or never answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from pipeline.api import webhook
from pipeline.api.webhook import PAUSE_SECONDS, TRIES, post_document
from tests.helpers.clock import FakeClock

NEVER = 0
SECRET = "T000/B000/not-for-logs"


@asynccontextmanager
async def listening(*answers: int) -> AsyncIterator[tuple[str, list[dict[str, object]]]]:
    """A webhook that answers so, one after the other; its URL, and what it was told."""
    told: list[dict[str, object]] = []
    ended = asyncio.Event()

    async def hear(request: web.Request) -> web.Response:
        told.append(await request.json())
        status = answers[min(len(told), len(answers)) - 1]
        if status == NEVER:
            await ended.wait()
        return web.Response(status=status or 500, headers={"Location": "/elsewhere"} if status == 302 else {})

    app = web.Application()
    app.router.add_post("/{path:.*}", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}/services/{SECRET}", told
    finally:
        ended.set()
        await runner.cleanup()


class Hasty(FakeClock):
    """Notes how long it was to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.mark.parametrize(
    ("answers", "times", "trouble"),
    [
        ((200,), 1, None),
        ((204,), 1, None),
        ((500, 429, 200), 3, None),
        ((503,), TRIES, "127.0.0.1 answered 503"),
        ((404,), 1, "127.0.0.1 answered 404"),
        ((302,), 1, "127.0.0.1 answered 302"),
    ],
)
async def test_what_a_webhook_answers(answers: tuple[int, ...], times: int, trouble: str | None) -> None:
    clock = Hasty()
    async with listening(*answers) as (url, told):
        assert await post_document(url, {"exit_code": 1, "text": "é"}, clock) == trouble
    assert told == [{"exit_code": 1, "text": "é"}] * times
    assert clock.slept == [PAUSE_SECONDS] * (times - 1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/" + SECRET, "ftp://127.0.0.1/" + SECRET, SECRET, "http://"])
async def test_a_webhook_that_is_none(url: str) -> None:
    trouble = await post_document(url, {}, Hasty())
    assert trouble
    assert "not-for-logs" not in trouble


async def test_a_webhook_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TRY_SECONDS", 0.05)
    async with listening(NEVER) as (url, told):
        assert await post_document(url, {}, Hasty()) == "127.0.0.1 did not answer within 0.05 s"
    assert len(told) == TRIES
