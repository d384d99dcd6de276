"""The throttle in virtual time: what may never happen, whatever arrives."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api.options import LimitOptions
from pipeline.api.throttle import BURST_SECONDS, LEEWAY_SECONDS, Bucket, Limiter, Throttle, ThrottleClosed
from tests.helpers.clock import FakeClock, Timer


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as a scenario has it."""

    at: float
    tokens: int
    used: int | None
    lasts: float
    cancelled_after: float | None = None


@dataclass(slots=True)
class Log:
    """What a scenario saw."""

    admitted: list[tuple[float, int]]
    """(time, index of the arrival) in the order of leaving."""
    changes: list[tuple[float, float, float | None]]
    """(time, tokens taken, tokens of the request if it is an admission)."""
    peak: int = 0


def arrivals_that(cancelled_after: st.SearchStrategy[float | None]) -> st.SearchStrategy[list[Arrival]]:
    arrival = st.builds(
        Arrival,
        at=st.sampled_from([0.0, 0.5, 3.0, 60.0]) | st.floats(0, 100),
        tokens=st.integers(0, 5000),
        used=st.none() | st.integers(0, 6000),
        lasts=st.floats(0, 30),
        cancelled_after=cancelled_after,
    )
    return st.lists(arrival, max_size=30)


ARRIVALS = arrivals_that(st.none())
IMPATIENT_ARRIVALS = arrivals_that(st.none() | st.sampled_from([0.0, 1.0, 30.0]) | st.floats(0, 60))
LIMITS = st.builds(
    LimitOptions,
    rpm=st.none() | st.floats(1, 6000),
    tpm=st.none() | st.floats(100, 1_000_000),
    concurrency=st.integers(1, 8),
)


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
    log = Log([], [])

    async def request(index: int, arrival: Arrival) -> None:
        await clock.sleep(arrival.at)
        async with throttle.reserve(arrival.tokens) as reservation:
            log.admitted.append((clock.elapsed, index))
            log.changes.append((clock.elapsed, arrival.tokens, arrival.tokens))
            log.peak = max(log.peak, throttle.limiter.in_flight)
            await clock.sleep(arrival.lasts)
            reservation.used_tokens = arrival.used
        if arrival.used is not None:
            log.changes.append((clock.elapsed, arrival.used - arrival.tokens, None))

    with clock.autojump():
        tasks = [asyncio.create_task(request(index, arrival)) for index, arrival in enumerate(arrivals)]
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


def assert_within(changes: Sequence[tuple[float, float, float | None]], per_minute: float, capacity: float) -> None:
    """In no window more than the rate and one bucket; the last may be larger than the bucket."""
    rate = per_minute / 60
    slack = rate * LEEWAY_SECONDS + 1e-6 * (1 + capacity)
    for first in range(len(changes)):
        total = 0.0
        for time, taken, cost in changes[first:]:
            total += taken
            if cost is not None:
                oversize = max(0.0, cost - capacity)
                assert total <= rate * (time - changes[first][0]) + capacity + oversize + slack


@settings(deadline=None)
@given(LIMITS, ARRIVALS)
def test_no_window_sees_more_than_the_limit(limits: LimitOptions, arrivals: list[Arrival]) -> None:
    async def scenario() -> None:
        clock = CountingClock()
        throttle = Throttle(limits, clock)
        log = await play(throttle, clock, arrivals)
        assert len(log.admitted) == len(arrivals)
        assert log.peak <= limits.concurrency
        if throttle.limiter.requests and limits.rpm:
            requests = [(time, 1.0, 1.0) for time, _ in log.admitted]
            assert_within(requests, limits.rpm, throttle.limiter.requests.capacity)
        if throttle.limiter.tokens and limits.tpm:
            assert_within(log.changes, limits.tpm, throttle.limiter.tokens.capacity)
        assert throttle.limiter.in_flight == 0
        assert clock.pending == 0

    run(scenario())


@settings(deadline=None)
@given(LIMITS, ARRIVALS)
def test_first_come_first_served_and_nothing_runs_in_circles(limits: LimitOptions, arrivals: list[Arrival]) -> None:
    async def scenario() -> None:
        clock = CountingClock()
        log = await play(Throttle(limits, clock), clock, arrivals)
        expected = sorted(range(len(arrivals)), key=lambda index: (arrivals[index].at, index))
        assert [index for _, index in log.admitted] == expected
        # Two sleeps of the scenario each; the line sets a timer when somebody joins, leaves or may leave.
        assert clock.count <= 5 * len(arrivals)

    run(scenario())


@settings(deadline=None)
@given(LIMITS, IMPATIENT_ARRIVALS)
def test_cancelling_gives_everything_back(limits: LimitOptions, arrivals: list[Arrival]) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        throttle = Throttle(limits, clock)
        log = await play(throttle, clock, arrivals)
        kept = {index for index, arrival in enumerate(arrivals) if arrival.cancelled_after is None}
        assert kept <= {index for _, index in log.admitted}
        assert log.peak <= limits.concurrency
        assert throttle.limiter.in_flight == 0
        if throttle.limiter.requests and limits.rpm:
            requests = [(time, 1.0, 1.0) for time, _ in log.admitted]
            assert_within(requests, limits.rpm, throttle.limiter.requests.capacity)
        assert repr(throttle) == "Throttle(in_flight=0, waiting=0)"
        assert clock.pending == 0

    run(scenario())


@pytest.mark.parametrize(
    ("limits", "tokens", "per_second"),
    [
        (LimitOptions(rpm=600), 0, 10),
        (LimitOptions(rpm=7), 0, 7 / 60),
        (LimitOptions(tpm=30_000), 1405, 30_000 / 60 / 1405),  # larger than the bucket
        (LimitOptions(tpm=2_000_000), 1065, 2_000_000 / 60 / 1065),
    ],
)
async def test_no_quota_is_left_unused(limits: LimitOptions, tokens: int, per_second: float) -> None:
    clock = FakeClock()
    count = 300
    log = await play(Throttle(limits, clock), clock, [Arrival(0, tokens, None, 0.5)] * count)
    ideal = count / per_second
    assert ideal - BURST_SECONDS - 1 / per_second <= log.admitted[-1][0] <= ideal


async def test_the_real_usage_is_what_counts_in_the_end() -> None:
    clock = FakeClock()
    tpm = 60_000
    log = await play(Throttle(LimitOptions(tpm=tpm), clock), clock, [Arrival(0, 1000, 500, 0.2)] * 400)
    ideal = 400 * 500 / (tpm / 60)
    assert ideal * 0.95 <= log.admitted[-1][0] <= ideal * 1.05


async def test_a_large_request_is_not_starved_by_small_ones() -> None:
    clock = FakeClock()
    throttle = Throttle(LimitOptions(tpm=60_000), clock)
    small = [Arrival(i * 0.1, 110, None, 0.1) for i in range(600)]  # 10 % more than the limit allows
    log = await play(throttle, clock, [*small, Arrival(10.05, 20_000, None, 0.1)])
    left = {index: time for time, index in log.admitted}[600]
    assert left < 10.05 + 2000 / 1000 + 1.5  # what stood before it, and a full bucket


async def test_a_retry_goes_before_the_line_and_behind_earlier_retries() -> None:
    clock = FakeClock()
    throttle = Throttle(LimitOptions(concurrency=1), clock)
    order: list[str] = []

    async def ask(name: str, retry: bool) -> None:
        async with throttle.reserve(1, retry=retry):
            order.append(name)
            await clock.sleep(1)

    async with asyncio.TaskGroup() as group:
        for name, retry in [("a", False), ("b", False), ("c", False), ("r1", True), ("r2", True)]:
            group.create_task(ask(name, retry))
            await clock.settle()
        await clock.advance(10)
    assert order == ["a", "r1", "r2", "b", "c"]


async def test_a_pause_holds_what_is_new_and_leaves_alone_what_is_under_way() -> None:
    clock = FakeClock()
    throttle = Throttle(LimitOptions(), clock)
    async with throttle.reserve(1):
        throttle.pause(30)
        throttle.pause(10)  # never shortens
        waiting = asyncio.create_task(play(throttle, clock, [Arrival(0, 1, None, 0)]))
        await clock.settle()
    assert throttle.limiter.in_flight == 0
    log = await waiting
    assert [time for time, _ in log.admitted] == [pytest.approx(30)]


async def test_a_pause_that_comes_while_others_wait() -> None:
    clock = FakeClock()
    throttle = Throttle(LimitOptions(rpm=60), clock)
    clock.call_later(1.5, lambda: throttle.pause(10))
    log = await play(throttle, clock, [Arrival(0, 0, None, 0)] * 5)
    assert [round(time, 3) for time, _ in log.admitted] == [0, 0, 1, 11.5, 11.5]


async def test_closing_wakes_all_who_wait_and_lets_finish_what_is_in_flight() -> None:
    clock = FakeClock()
    throttle = Throttle(LimitOptions(rpm=1, concurrency=2), clock)
    events: list[str] = []

    async def in_flight() -> None:
        async with throttle.reserve(1):
            await clock.sleep(5)
        events.append("finished")

    async def waiting(retry: bool) -> None:
        with pytest.raises(ThrottleClosed):
            async with throttle.reserve(1, retry=retry):
                events.append("sent")
        events.append("woken")

    async def sleeping() -> None:
        with pytest.raises(ThrottleClosed):
            await throttle.sleep(1000)
        events.append("woken")

    async with asyncio.TaskGroup() as group:
        for task in (in_flight(), waiting(False), waiting(True), sleeping()):
            group.create_task(task)
        await clock.settle()
        assert repr(throttle) == "Throttle(in_flight=1, waiting=2)"
        throttle.close()
        await clock.settle()
        assert events == ["woken"] * 3
        assert clock.pending == 1  # the scenario's own
        await clock.advance(5)
    assert events[3:] == ["finished"]
    assert throttle.limiter.in_flight == 0
    with pytest.raises(ThrottleClosed):
        await throttle.sleep(0)
    with pytest.raises(ThrottleClosed):
        async with throttle.reserve(1):
            pass


async def test_sleeping_lasts_as_long_as_it_should_and_can_be_cancelled() -> None:
    clock = FakeClock()
    throttle = Throttle(LimitOptions(), clock)
    sleeper = asyncio.create_task(throttle.sleep(3))
    await clock.advance(2.9)
    assert not sleeper.done()
    await clock.advance(0.2)
    assert sleeper.done()
    cancelled = asyncio.create_task(throttle.sleep(3))
    await clock.settle()
    cancelled.cancel()
    await clock.settle()
    assert cancelled.cancelled()
    assert clock.pending == 0
    throttle.close()


@pytest.mark.parametrize(("cancel_first", "close"), [(True, False), (False, False), (False, True)])
async def test_cancelled_and_admitted_in_the_same_turn_of_the_loop(cancel_first: bool, close: bool) -> None:
    clock = FakeClock()
    throttle = Throttle(LimitOptions(rpm=60, tpm=60_000, concurrency=1), clock)
    release = asyncio.Event()

    async def holder() -> None:
        async with throttle.reserve(100):
            await release.wait()

    async def waiter() -> None:
        async with throttle.reserve(100):
            raise AssertionError("left although it was cancelled")

    holding = asyncio.create_task(holder())
    await clock.settle()
    waiting = asyncio.create_task(waiter())
    await clock.settle()
    release.set()
    if not cancel_first:
        await asyncio.sleep(0)  # the holder leaves and lets the waiter in, which has not run yet
        assert throttle.limiter.in_flight == 1
    waiting.cancel()
    if close:
        throttle.close()
    await clock.settle()
    assert holding.done()
    assert waiting.cancelled()
    assert throttle.limiter.in_flight == 0
    assert throttle.limiter.tokens is not None
    assert throttle.limiter.tokens.level == pytest.approx(2000 - 100)  # the holder's, who did not say what it used


async def test_a_cancelled_head_lets_the_next_one_go() -> None:
    clock = FakeClock()
    throttle = Throttle(LimitOptions(tpm=60), clock)
    log = await play(throttle, clock, [Arrival(0, 2, None, 0), Arrival(0, 100, None, 0, 0.1), Arrival(0, 1, None, 0)])
    assert [(round(time, 3), index) for time, index in log.admitted] == [(0, 0), (1, 2)]


@given(
    st.floats(1, 1e6),
    st.lists(st.tuples(st.floats(0, 100), st.floats(-1000, 1000)), max_size=40),
    st.sampled_from([0.0, 1e6, 1e9]),
)
def test_a_bucket_is_never_fuller_than_its_capacity(
    per_minute: float, steps: list[tuple[float, float]], start: float
) -> None:
    bucket = Bucket(per_minute, start)
    now, taken = start, 0.0
    for pause, amount in steps:
        now += pause
        before = bucket.level
        bucket.take(amount, now)
        taken += amount
        assert bucket.level <= bucket.capacity
        assert bucket.level <= before + pause * bucket.rate - amount + 1e-3 * bucket.rate
    wait = max(0.0, bucket.wait_seconds(bucket.capacity, now))
    assert bucket.wait_seconds(bucket.capacity, now + wait) <= LEEWAY_SECONDS


def test_what_was_idle_is_not_paid_back_by_a_late_settlement() -> None:
    limiter = Limiter(LimitOptions(tpm=60_000), 0.0)
    limiter.admit(100, 0.0)
    limiter.settle(100, 2100, 100.0)  # the bucket was full again at 0.1 and cannot be fuller at 100
    assert limiter.wait_seconds(2000, 100.0) == pytest.approx(2.0)


def test_a_withdrawn_request_never_was() -> None:
    limiter = Limiter(LimitOptions(rpm=60, tpm=60_000, concurrency=1), 0.0)
    limiter.admit(2000, 0.0)
    assert limiter.wait_seconds(1, 0.0) is None
    limiter.withdraw(2000, 0.0)
    assert limiter.wait_seconds(2000, 0.0) == 0
    assert limiter.in_flight == 0
