"""Requests that come, wait and leave in virtual time, as hypothesis makes them up."""

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from pipeline.api.limits.limiter import LEEWAY_SECONDS
from pipeline.api.limits.rules import LimitRules
from pipeline.api.options import LimitOptions
from pipeline.api.pool.member import Member
from pipeline.api.throttle import Throttle
from tests.helpers.clock import FakeClock, Timer
from tests.helpers.pool import request


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as a scenario has it."""

    at: float
    tokens: int
    used: float | None
    """Share of its tokens that it turns out to cost."""
    lasts: float
    cancelled_after: float | None = None


@dataclass(slots=True)
class Log:
    """What a scenario saw."""

    admitted: list[tuple[float, int]] = field(default_factory=list)
    """(time, index of the arrival) in the order of leaving."""
    went_to: list[Member] = field(default_factory=list)
    """In the same order."""
    peaks: Counter[Member] = field(default_factory=Counter)
    """Most that were in flight."""

    def of(self, member: Member) -> list[tuple[float, int]]:
        """Those that went to one endpoint."""
        return [entry for entry, other in zip(self.admitted, self.went_to, strict=True) if other is member]


def arrivals_that(cancelled_after: st.SearchStrategy[float | None]) -> st.SearchStrategy[list[Arrival]]:
    arrival = st.builds(
        Arrival,
        at=st.sampled_from([0.0, 0.5, 3.0, 60.0]) | st.floats(0, 100),
        tokens=st.integers(0, 5000),
        used=st.none() | st.floats(0, 1),
        lasts=st.floats(0, 30),
        cancelled_after=cancelled_after,
    )
    return st.lists(arrival, max_size=30)


ARRIVALS = arrivals_that(st.none())
IMPATIENT_ARRIVALS = arrivals_that(st.none() | st.sampled_from([0.0, 1.0, 30.0]) | st.floats(0, 60))
LIMITS = st.builds(
    LimitOptions,
    rpm=st.none() | st.integers(1, 6000),
    tpm=st.none() | st.floats(100, 1_000_000),
    concurrency=st.none() | st.integers(1, 8),
    request_windows=st.none() | st.sampled_from([(), (10.0,), (1.0, 10.0), (7.0,)]),
    token_windows=st.none() | st.sampled_from([(), (10.0,)]),
)
PROVIDERS = st.sampled_from(["openai", "azure", "compatible"])


class CountingClock(FakeClock):
    """Counts the timers that are set."""

    count = 0

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        self.count += 1
        return super().call_later(seconds, callback)


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 20))


async def play(throttle: Throttle, clock: FakeClock, arrivals: list[Arrival]) -> Log:
    """Let all arrivals through, in virtual time. The order of the line is that of (at, index)."""
    log = Log()

    async def leave(index: int, arrival: Arrival) -> None:
        await clock.sleep(arrival.at)
        async with throttle.reserve(request(arrival.tokens)) as permit:
            log.admitted.append((clock.elapsed, index))
            log.went_to.append(permit.member)
            log.peaks[permit.member] = max(log.peaks[permit.member], permit.member.limiter.in_flight)
            await clock.sleep(arrival.lasts)
            permit.admission.used_tokens = used_tokens(arrival)

    with clock.autojump():
        tasks = [asyncio.create_task(leave(index, arrival)) for index, arrival in enumerate(arrivals)]
        cancellations = [
            clock.call_later(arrival.at + arrival.cancelled_after, task.cancel)
            for task, arrival in zip(tasks, arrivals, strict=True)
            if arrival.cancelled_after is not None
        ]
        await asyncio.gather(*tasks, return_exceptions=True)
    for cancellation in cancellations:
        cancellation.cancel()
    for task in tasks:
        assert task.cancelled() or task.exception() is None
    return log


def used_tokens(arrival: Arrival) -> int | None:
    return None if arrival.used is None else round(arrival.tokens * arrival.used)


def assert_within(
    costs: Sequence[tuple[float, int]], per_minute: float, windows: Sequence[float], jitter: Sequence[float]
) -> None:
    """No window of the provider sees more than its limit, however late each request arrives within the margin.

    What is larger than a whole window's limit comes alone.
    """
    for seconds in windows:
        margin = min(0.015 * seconds, 0.25) - LEEWAY_SECONDS - 1e-6
        allowed = per_minute if seconds == 60 else math.ceil(per_minute * seconds / 60)
        arrived = sorted(
            (time + share * margin, cost) for (time, cost), share in zip(costs, itertools.cycle(jitter), strict=False)
        )
        for first, (begin, _) in enumerate(arrived):
            inside = [cost for time, cost in arrived[first:] if time < begin + seconds and cost]
            assert sum(inside) <= allowed or len(inside) == 1


def final_cost(arrival: Arrival, rules: LimitRules) -> int:
    used = used_tokens(arrival)
    return arrival.tokens if used is None or rules.counting != "usage" else used
