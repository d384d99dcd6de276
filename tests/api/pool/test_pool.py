"""Several endpoints behind one line, in virtual time: what may never happen, and how much of their quotas is used."""

import asyncio
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api.asker import Asker
from pipeline.api.client import Client, Response
from pipeline.api.endpoint import Endpoint
from pipeline.api.limits.budget import Budget
from pipeline.api.limits.rules import AZURE, OPENAI, limit_rules
from pipeline.api.options import LimitOptions
from pipeline.api.pool.pool import Pool
from pipeline.api.throttle import Throttle, ThrottleClosed
from pipeline.emulator.limits import Limits
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Reply, Request
from tests.api.playing import (
    ARRIVALS,
    IMPATIENT_ARRIVALS,
    LIMITS,
    PROVIDERS,
    Arrival,
    CountingClock,
    assert_within,
    final_cost,
    play,
    run,
)
from tests.helpers.clock import FakeClock
from tests.helpers.pool import DOLLAR_A_TOKEN, member, request

ENDPOINTS = st.lists(st.tuples(LIMITS, PROVIDERS, st.integers(1, 3)), min_size=1, max_size=4)


def pool_of(endpoints: Sequence[tuple[LimitOptions, str, int]], clock: FakeClock) -> Pool:
    return Pool(
        [
            member(limits, limit_rules(provider, limits), clock, name=f"endpoint {number}", priority=priority)
            for number, (limits, provider, priority) in enumerate(endpoints)
        ]
    )


@settings(deadline=None)
@given(ENDPOINTS, ARRIVALS, st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_no_endpoint_sees_more_than_its_limit_in_any_window(
    endpoints: list[tuple[LimitOptions, str, int]], arrivals: list[Arrival], jitter: list[float]
) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        pool = pool_of(endpoints, clock)
        log = await play(Throttle(pool, clock), clock, arrivals)
        assert len(log.admitted) == len(arrivals), "nobody starves"
        for of, (limits, provider, _) in zip(pool.members, endpoints, strict=True):
            rules = limit_rules(provider, limits)
            assert log.peaks[of] <= limits.most_in_flight
            if limits.rpm:
                assert_within([(time, 1) for time, _ in log.of(of)], limits.rpm, rules.request_windows, jitter)
            if limits.tpm:
                costs = [(time, final_cost(arrivals[index], rules)) for time, index in log.of(of)]
                assert_within(costs, limits.tpm, rules.token_windows, jitter)
        assert pool.in_flight == 0
        assert clock.pending == 0

    run(scenario())


@settings(deadline=None)
@given(ENDPOINTS, ARRIVALS)
def test_first_come_first_served_over_the_whole_pool(
    endpoints: list[tuple[LimitOptions, str, int]], arrivals: list[Arrival]
) -> None:
    async def scenario() -> None:
        clock = CountingClock()
        log = await play(Throttle(pool_of(endpoints, clock), clock), clock, arrivals)
        expected = sorted(range(len(arrivals)), key=lambda index: (arrivals[index].at, index))
        assert [index for _, index in log.admitted] == expected
        assert clock.count <= 5 * len(arrivals), "nothing runs in circles"

    run(scenario())


@settings(deadline=None)
@given(ENDPOINTS, IMPATIENT_ARRIVALS)
def test_cancelling_gives_everything_back(
    endpoints: list[tuple[LimitOptions, str, int]], arrivals: list[Arrival]
) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        pool = pool_of(endpoints, clock)
        log = await play(Throttle(pool, clock), clock, arrivals)
        kept = {index for index, arrival in enumerate(arrivals) if arrival.cancelled_after is None}
        assert kept <= {index for _, index in log.admitted}
        assert pool.in_flight == 0
        assert clock.pending == 0
        await clock.advance(61)
        for each in pool.members:
            for quota in (each.limiter.requests, each.limiter.tokens):
                for window in quota.windows if quota else ():
                    assert window.wait_seconds(0, clock.monotonic()) <= 0
                    assert window.held == 0

    run(scenario())


async def test_a_retry_goes_elsewhere_if_somebody_else_has_room() -> None:
    clock = FakeClock()
    limits = LimitOptions(concurrency=1)
    first, second = (member(limits, OPENAI, clock, name=name) for name in "ab")
    throttle = Throttle(Pool([first, second]), clock)
    async with throttle.reserve(request(), avoid=first) as permit:
        assert permit.member is second
        async with throttle.reserve(request(), avoid=first) as other:
            assert other.member is first, "better than to wait"


async def test_a_request_waits_for_an_endpoint_that_is_large_enough() -> None:
    clock = FakeClock()
    small, large = (member(LimitOptions(tpm=tpm, concurrency=1), OPENAI, clock, name=str(tpm)) for tpm in (900, 90_000))
    throttle = Throttle(Pool([small, large]), clock)
    gone: list[tuple[str, int]] = []

    async def leave(tokens: int) -> None:
        async with throttle.reserve(request(tokens)) as permit:
            gone.append((permit.member.name, tokens))
            await clock.sleep(10)

    with clock.autojump():
        await asyncio.gather(*(leave(tokens) for tokens in (1000, 1000, 800, 100_000)))
    assert gone[:3] == [("90000", 1000), ("90000", 1000), ("900", 800)]
    assert len(gone) == 4, "what is too large for all of them is not held back for ever"


async def test_by_priority_first_and_then_by_the_share_of_free_places() -> None:
    clock = FakeClock()
    reserved, small, large = (
        member(LimitOptions(concurrency=places), OPENAI, clock, name=name, priority=priority)
        for name, places, priority in (("reserved", 2, 1), ("small", 2, 2), ("large", 4, 2))
    )
    throttle = Throttle(Pool([large, small, reserved]), clock)
    gone: list[str] = []

    async def leave() -> None:
        async with throttle.reserve(request()) as permit:
            gone.append(permit.member.name)
            await clock.sleep(10)

    async with asyncio.TaskGroup() as group:
        for _ in range(9):
            group.create_task(leave())
        await clock.settle()
        assert gone[:2] == ["reserved", "reserved"]
        assert sorted(gone[2:5]) == ["large", "large", "small"], "as their shares fill"
        assert len(gone) == 8, "the last one waits"
        await clock.advance(30)
    assert gone[8] == "reserved"


COMPLETION = json.dumps(
    {
        "choices": [{"finish_reason": "stop", "message": {"content": "A dog."}}],
        "usage": {"prompt_tokens": 255, "completion_tokens": 5, "total_tokens": 260},
    }
).encode()
Death = Literal["refused", "500", "hang", "429", "401", "404"]
TIMEOUT_SECONDS = 120.0


@dataclass
class Server(Client):
    """An endpoint with a quota that is dead for a while; answers without a network, in virtual time."""

    rpm: int
    clock: FakeClock
    death: Death = "500"
    dead: tuple[float, float] = (math.inf, math.inf)
    provider: Literal["openai", "azure"] = "azure"
    refused: int = 0
    while_dead: int = 0
    answered_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(Endpoint(self.provider, "http://127.0.0.1:9/", "", {}, None), TIMEOUT_SECONDS)
        self._limits = Limits(self.provider, self.rpm, None, 60.0, 60.0)
        self._rng = random.Random(self.rpm)

    async def post(self, *parts: bytes) -> Response | Failure:
        await self.clock.sleep(self._rng.uniform(0, 0.1))
        if self.dead[0] <= self.clock.elapsed < self.dead[1]:
            self.while_dead += 1
            return await self._die()
        if denied := self._limits.admit(self.clock.monotonic(), 1):
            self.refused += 1
            return Response(429, {"retry-after": str(math.ceil(denied.wait_seconds))}, b"{}")
        sent = self.clock.elapsed
        await self.clock.sleep(1.5 * self._rng.lognormvariate(0, 0.35))
        if sent < self.dead[0] <= self.clock.elapsed:
            return await self._die()
        self.answered_at.append(sent)
        return Response(200, {}, COMPLETION)

    async def _die(self) -> Response | Failure:
        match self.death:
            case "refused":
                return Failure("unreachable", "No connection to the endpoint.")
            case "hang":
                await self.clock.sleep(TIMEOUT_SECONDS)
                return Failure("timeout", "No complete answer within 120 s.")
            case "429":
                return Response(429, {"retry-after": "30"}, b"{}")
        return Response(int(self.death), {}, b"{}")


async def nothing_smaller(request: Request) -> Request | None:
    return None


async def ask_for(seconds: float, servers: Sequence[Server], clock: FakeClock, **limits: float) -> list[Answer]:
    """As many as want to be asked until then; the answers."""
    answers: list[Answer] = []
    options = [LimitOptions(rpm=server.rpm, **limits) for server in servers]  # type: ignore[arg-type]
    members = [
        member(each, limit_rules(server.provider, each), clock, server, name=f"{server.rpm} rpm")
        for each, server in zip(options, servers, strict=True)
    ]
    throttle = Throttle(Pool(members), clock)
    asker = Asker(throttle, options[0], clock, random.Random(1), lambda attempt: None)

    async def worker(number: int) -> None:
        image = 0
        while clock.elapsed < seconds:
            image += 1
            answers.append(await asker.ask(request(255, f"{number}-{image}"), nothing_smaller))

    with clock.autojump():
        async with asyncio.TaskGroup() as group:
            for number in range(256):
                group.create_task(worker(number))
    return answers


def utilisation(servers: Sequence[Server], begin: float, end: float) -> float:
    """Of the quotas of those that are alive."""
    answered = sum(begin <= at < end for server in servers for at in server.answered_at)
    return answered / sum(
        server.rpm / 60 * (end - begin - (min(server.dead[1], end) - server.dead[0] if server.dead[0] < end else 0))
        for server in servers
    )


@pytest.mark.parametrize("death", ["refused", "500", "hang", "429", "401", "404"])
async def test_of_three_endpoints_one_dies_for_half_a_minute(death: Death) -> None:
    clock = FakeClock()
    servers = [Server(600, clock), Server(300, clock, death, (120, 150)), Server(120, clock)]
    answers = await ask_for(300, servers, clock)
    assert all(isinstance(answer.outcome, Reply) for answer in answers), "no image is lost"
    assert len(answers) == sum(len(server.answered_at) for server in servers)
    assert utilisation(servers, 60, 300) >= 0.95
    assert sum(server.refused for server in servers) <= 0.001 * len(answers)
    if death != "hang":
        assert servers[1].while_dead <= 40, "what was on its way, and then a probe now and then"
    assert {answer.respondent.deployment for answer in answers} == {"600 rpm", "300 rpm", "120 rpm"}


async def test_the_run_stops_when_none_is_left() -> None:
    clock = FakeClock()
    servers = [Server(600, clock, "401", (60, math.inf)), Server(300, clock, "500", (90, math.inf))]
    with pytest.raises(ExceptionGroup) as caught:
        await ask_for(10_000, servers, clock, patience_seconds=200)
    trouble = caught.value.exceptions[0]
    assert isinstance(trouble, RunError)
    for words in ("None of the 2 endpoints is left", "600 rpm: The endpoint refused", "nothing but errors"):
        assert words in str(trouble)
    assert 290 <= clock.elapsed <= 320


async def test_a_budget_lets_wait_and_then_closes_the_line() -> None:
    clock = FakeClock()
    spent: list[float] = []
    priced = member(LimitOptions(concurrency=8), AZURE, clock, max_tokens=100, price=DOLLAR_A_TOKEN)
    pool = Pool([priced], Budget(Decimal(1000)))
    throttle = Throttle(pool, clock, lambda: spent.append(clock.elapsed))
    left: list[float] = []

    async def leave() -> None:
        async with throttle.reserve(request(100)) as permit:
            left.append(clock.elapsed)
            await clock.sleep(1)
            permit.billed_usd = Decimal(110)

    with clock.autojump():
        ended = await asyncio.gather(*(leave() for _ in range(20)), return_exceptions=True)
    assert [round(at) for at in left] == [0, 1, 1, 1, 1, 2, 2, 3]
    assert [type(each) for each in ended if each] == [ThrottleClosed] * 12
    assert spent == [4.0]
    assert pool.budget is not None
    assert (pool.budget.spent, pool.budget.reserved) == (880, 0)
