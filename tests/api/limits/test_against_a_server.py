"""The throttle against the emulator's limits, in virtual time: how much of a quota is used and how many are refused."""

import asyncio
import math
import random
from dataclasses import dataclass, field
from typing import Literal

import pytest

from pipeline.api.limits.rules import limit_rules
from pipeline.api.options import LimitOptions
from pipeline.api.reading.headers import RateHeaders, Standing
from pipeline.api.throttle import Throttle
from pipeline.emulator.limits import Limits
from tests.helpers.clock import FakeClock
from tests.helpers.pool import limiter_of, request, throttle_for

USERS = 256
LATENCY_SECONDS = 1.5


@dataclass
class Server:
    """What refuses requests, and what it saw."""

    provider: Literal["openai", "azure"]
    rpm: int | None = None
    tpm: int | None = None
    request_window: float = 60.0
    token_window: float = 60.0
    jitter_seconds: float = 0.0
    """Requests arrive up to so much later than they left."""
    tells: bool = True
    """Sends rate headers."""
    refused: int = 0
    answered_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limits = Limits(self.provider, self.rpm, self.tpm, self.request_window, self.token_window)

    def headers(self, now: float) -> RateHeaders:
        standings = {
            kind: Standing(limit.limit, limit.remaining, self._rounded(limit.reset_seconds))
            for kind, limit in self.limits.standings(now).items()
        }
        return RateHeaders(standings.get("requests"), standings.get("tokens"))

    def _rounded(self, seconds: float) -> float:
        return math.ceil(seconds) if self.provider == "azure" else seconds

    def per_minute(self, tokens: int) -> float:
        return min(self.rpm or math.inf, (self.tpm or math.inf) / tokens)


async def play(
    server: Server, limits: LimitOptions, tokens: int, minutes: int, others_per_second: float = 0
) -> Throttle:
    """`USERS` who always want something, for so many minutes."""
    clock, rng = FakeClock(), random.Random(1)
    throttle = throttle_for(limits, limit_rules(server.provider, limits), clock)

    async def user() -> None:
        while clock.elapsed < 60 * minutes:
            async with throttle.reserve(request(tokens)) as permit:
                admission = permit.admission
                await clock.sleep(rng.uniform(0, server.jitter_seconds))
                now = clock.monotonic()
                denied = server.limits.admit(now, tokens)
                admission.rates = server.headers(now) if server.tells else None
                if denied:
                    server.refused += 1
                    admission.verdict = "rate_limited"
                    limiter_of(throttle).pause(denied.wait_seconds, now)
                    continue
                server.answered_at.append(clock.elapsed)
                await clock.sleep(LATENCY_SECONDS * rng.lognormvariate(0, 0.35))
                admission.verdict = "answered"

    async def others() -> None:
        while clock.elapsed < 60 * minutes:
            await clock.sleep(rng.uniform(0.5, 1.5) / others_per_second)
            server.limits.admit(clock.monotonic(), tokens)

    with clock.autojump():
        async with asyncio.TaskGroup() as group:
            if others_per_second:
                group.create_task(others())
            for _ in range(USERS):
                group.create_task(user())
    return throttle


def used_after_first_minute(server: Server, tokens: int, minutes: int) -> float:
    answered = sum(60 <= at < 60 * minutes for at in server.answered_at)
    return answered / (minutes - 1) / server.per_minute(tokens)


@pytest.mark.parametrize(
    ("server", "limits"),
    [
        (Server("openai", rpm=600, jitter_seconds=0.2), LimitOptions(rpm=600)),
        (Server("openai", tpm=300_000, jitter_seconds=0.2), LimitOptions(tpm=300_000)),
        (Server("openai", rpm=600, tpm=300_000), LimitOptions(rpm=600, tpm=300_000)),
        (Server("azure", tpm=300_000, jitter_seconds=0.2), LimitOptions(tpm=300_000)),
        (Server("azure", rpm=600, request_window=10, jitter_seconds=0.1), LimitOptions(rpm=600)),
        (Server("azure", rpm=100, request_window=10, jitter_seconds=0.1), LimitOptions(rpm=100)),
        (Server("azure", rpm=600, request_window=1, jitter_seconds=0.01), LimitOptions(rpm=600)),
        (Server("openai", rpm=600, request_window=1), LimitOptions(rpm=600)),  # its short window is no secret to keep
        (Server("azure", tpm=300_000, token_window=10), LimitOptions(tpm=300_000, token_windows=(10,))),
    ],
    ids=lambda value: "" if isinstance(value, LimitOptions) else None,
)
async def test_a_known_quota_is_filled_and_never_passed(server: Server, limits: LimitOptions) -> None:
    tokens = 442
    await play(server, limits, tokens, minutes=4)
    assert used_after_first_minute(server, tokens, 4) >= 0.98
    assert server.refused == 0


@pytest.mark.parametrize(
    "server",
    [
        Server("openai", rpm=600),
        Server("openai", tpm=300_000),
        Server("openai", rpm=3000, tpm=500_000),
        Server("azure", rpm=600),
        Server("azure", tpm=300_000),
    ],
)
async def test_an_unknown_quota_is_learned_from_headers(server: Server) -> None:
    tokens = 442
    throttle = await play(server, LimitOptions(), tokens, minutes=4)
    assert used_after_first_minute(server, tokens, 4) >= 0.98
    assert server.refused == 0
    assert limiter_of(throttle).concurrency.limit < USERS


@pytest.mark.parametrize("limits", [LimitOptions(rpm=600), LimitOptions(), LimitOptions(rpm=1200)])
async def test_a_quota_that_others_use_too(limits: LimitOptions) -> None:
    server = Server("azure", rpm=600)
    await play(server, limits, 442, minutes=4, others_per_second=5)
    assert server.refused <= 0.01 * len(server.answered_at)
    assert used_after_first_minute(server, 442, 4) >= 0.5


async def test_a_quota_that_is_smaller_than_the_user_says() -> None:
    server = Server("openai", rpm=600)
    await play(server, LimitOptions(rpm=1200), 442, minutes=4)
    assert server.refused == 0
    assert used_after_first_minute(server, 442, 4) >= 0.98


@pytest.mark.parametrize("provider", ["openai", "azure"])
async def test_a_server_that_only_says_when_to_come_back(provider: Literal["openai", "azure"]) -> None:
    server = Server(provider, rpm=600, tells=False)
    await play(server, LimitOptions(), 442, minutes=10)
    assert server.refused <= 0.02 * len(server.answered_at)
    assert used_after_first_minute(server, 442, 10) >= 0.98
