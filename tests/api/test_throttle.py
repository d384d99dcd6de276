"""The throttle in virtual time: what may never happen, whatever arrives."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api.limits.limiter import LEEWAY_SECONDS, RAMP_SECONDS
from pipeline.api.limits.quota import CATCH_UP_SECONDS, Quota
from pipeline.api.limits.rules import AZURE, COMPATIBLE, OPENAI, LimitRules, limit_rules
from pipeline.api.limits.windows import Window
from pipeline.api.options import LimitOptions
from pipeline.api.throttle import ThrottleClosed
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
from tests.helpers.pool import limiter_of, request, throttle_for


@settings(deadline=None)
@given(LIMITS, PROVIDERS, ARRIVALS, st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_no_window_sees_more_than_the_limit(
    limits: LimitOptions, provider: str, arrivals: list[Arrival], jitter: list[float]
) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        rules = limit_rules(provider, limits)
        throttle = throttle_for(limits, rules, clock)
        log = await play(throttle, clock, arrivals)
        assert len(log.admitted) == len(arrivals)
        assert log.peaks[throttle.pool.members[0]] <= limits.most_in_flight
        if limits.rpm:
            assert_within([(time, 1) for time, _ in log.admitted], limits.rpm, rules.request_windows, jitter)
        if limits.tpm:
            costs = [(time, final_cost(arrivals[index], rules)) for time, index in log.admitted]
            assert_within(costs, limits.tpm, rules.token_windows, jitter)
        assert limiter_of(throttle).in_flight == 0
        assert clock.pending == 0

    run(scenario())


@settings(deadline=None)
@given(LIMITS, PROVIDERS, ARRIVALS)
def test_first_come_first_served_and_nothing_runs_in_circles(
    limits: LimitOptions, provider: str, arrivals: list[Arrival]
) -> None:
    async def scenario() -> None:
        clock = CountingClock()
        log = await play(throttle_for(limits, limit_rules(provider, limits), clock), clock, arrivals)
        expected = sorted(range(len(arrivals)), key=lambda index: (arrivals[index].at, index))
        assert [index for _, index in log.admitted] == expected
        # Two sleeps of the scenario each; the line sets a timer when somebody joins, leaves or may leave.
        assert clock.count <= 5 * len(arrivals)

    run(scenario())


@settings(deadline=None)
@given(LIMITS, PROVIDERS, IMPATIENT_ARRIVALS)
def test_cancelling_gives_everything_back(limits: LimitOptions, provider: str, arrivals: list[Arrival]) -> None:
    async def scenario() -> None:
        clock = FakeClock()
        throttle = throttle_for(limits, limit_rules(provider, limits), clock)
        log = await play(throttle, clock, arrivals)
        kept = {index for index, arrival in enumerate(arrivals) if arrival.cancelled_after is None}
        assert kept <= {index for _, index in log.admitted}
        assert limiter_of(throttle).in_flight == 0
        assert repr(throttle) == "Throttle(in_flight=0, waiting=0)"
        assert clock.pending == 0
        await clock.advance(61)
        for quota in (limiter_of(throttle).requests, limiter_of(throttle).tokens):
            for window in quota.windows if quota else ():
                assert window.wait_seconds(0, clock.monotonic()) <= 0
                assert window.held == 0

    run(scenario())


@pytest.mark.parametrize(
    ("limits", "rules", "tokens", "per_second", "share"),
    [
        (LimitOptions(rpm=600), OPENAI, 0, 10, 0.995),
        (LimitOptions(rpm=600), AZURE, 0, 10, 0.984),
        (LimitOptions(rpm=7), OPENAI, 0, 7 / 60, 0.99),
        (LimitOptions(rpm=100), AZURE, 0, 100 / 60, 0.98),  # 16.7 in ten seconds, 1.7 in one
        (LimitOptions(tpm=30_000), OPENAI, 1405, 21 / 60, 0.99),  # whole requests only: 21 of 21.4
        (LimitOptions(tpm=2_000_000), OPENAI, 1065, 2_000_000 / 60 / 1065, 0.995),
    ],
)
async def test_no_quota_is_left_unused(
    limits: LimitOptions, rules: LimitRules, tokens: int, per_second: float, share: float
) -> None:
    clock = FakeClock()
    count = round(per_second * 600)
    log = await play(throttle_for(limits, rules, clock), clock, [Arrival(0, tokens, None, 0.5)] * count)
    ideal = (count - 1) / per_second
    assert ideal - CATCH_UP_SECONDS - 1 / per_second <= log.admitted[-1][0] <= ideal / share


async def test_the_real_usage_is_what_counts_in_the_end_where_the_provider_counts_it() -> None:
    tpm = 60_000
    seconds: dict[str, float] = {}
    for provider in ("compatible", "openai", "azure"):
        clock = FakeClock()
        limits = LimitOptions(tpm=tpm)
        throttle = throttle_for(limits, limit_rules(provider, limits), clock)
        log = await play(throttle, clock, [Arrival(0, 1000, 0.5, 0.2)] * 400)
        seconds[provider] = log.admitted[-1][0]
    assert seconds["compatible"] == pytest.approx(400 * 500 / (tpm / 60), rel=0.02)
    assert seconds["openai"] == seconds["azure"] == pytest.approx(400 * 1000 / (tpm / 60), rel=0.02)


async def test_usage_above_the_reservation_is_paid_for_later() -> None:
    clock = FakeClock()
    log = await play(
        throttle_for(LimitOptions(tpm=60_000), COMPATIBLE, clock), clock, [Arrival(0, 1000, 1.5, 0.2)] * 100
    )
    assert log.admitted[-1][0] == pytest.approx(1.5 * 100, rel=0.05)


async def test_it_begins_at_the_pace_and_not_with_a_burst() -> None:
    clock = FakeClock()
    log = await play(throttle_for(LimitOptions(rpm=600), OPENAI, clock), clock, [Arrival(0, 0, None, 0.5)] * 50)
    assert sum(time <= 1 for time, _ in log.admitted) <= 10 + 1
    later = await play(throttle_for(LimitOptions(rpm=600), OPENAI, clock), clock, [Arrival(100, 0, None, 0.5)] * 50)
    begin = later.admitted[0][0]
    assert sum(time <= begin + 1 for time, _ in later.admitted) <= 10 + 600 / 60 * CATCH_UP_SECONDS + 1


async def test_a_large_request_is_not_starved_by_small_ones() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(tpm=60_000), OPENAI, clock)
    small = [Arrival(i * 0.1, 110, None, 0.1) for i in range(600)]  # 10 % more than the limit allows
    log = await play(throttle, clock, [*small, Arrival(10.05, 20_000, None, 0.1)])
    left = {index: time for time, index in log.admitted}[600]
    assert left < 10.05 + 2000 / 1000 + 1.5  # what stood before it


async def test_a_retry_goes_before_the_line_and_behind_earlier_retries() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(concurrency=1), OPENAI, clock)
    order: list[str] = []

    async def ask(name: str, retry: bool) -> None:
        async with throttle.reserve(request(1), retry=retry):
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
    throttle = throttle_for(LimitOptions(), OPENAI, clock)
    async with throttle.reserve(request(1)):
        limiter_of(throttle).pause(30, clock.monotonic())
        limiter_of(throttle).pause(10, clock.monotonic())  # never shortens
        waiting = asyncio.create_task(play(throttle, clock, [Arrival(0, 1, None, 0)]))
        await clock.settle()
    assert limiter_of(throttle).in_flight == 0
    log = await waiting
    assert [time for time, _ in log.admitted] == [pytest.approx(30)]


async def test_a_pause_that_comes_while_others_wait() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(rpm=60), OPENAI, clock)
    clock.call_later(1.5, lambda: limiter_of(throttle).pause(10, clock.monotonic()))
    log = await play(throttle, clock, [Arrival(0, 0, None, 0)] * 5)
    assert [round(time, 2) for time, _ in log.admitted] == [0, 1, 11.5, 12.25, 13.25]


async def test_closing_wakes_all_who_wait_and_lets_finish_what_is_in_flight() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(rpm=1, concurrency=2), OPENAI, clock)
    events: list[str] = []

    async def in_flight() -> None:
        async with throttle.reserve(request(1)):
            await clock.sleep(5)
        events.append("finished")

    async def waiting(retry: bool) -> None:
        with pytest.raises(ThrottleClosed):
            async with throttle.reserve(request(1), retry=retry):
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
    assert limiter_of(throttle).in_flight == 0
    with pytest.raises(ThrottleClosed):
        await throttle.sleep(0)
    with pytest.raises(ThrottleClosed):
        async with throttle.reserve(request(1)):
            pass


async def test_sleeping_lasts_as_long_as_it_should_and_can_be_cancelled() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(), OPENAI, clock)
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
    throttle = throttle_for(LimitOptions(rpm=60, tpm=60_000, concurrency=1), OPENAI, clock)
    release = asyncio.Event()

    async def holder() -> None:
        async with throttle.reserve(request(100)):
            await release.wait()

    async def waiter() -> None:
        async with throttle.reserve(request(100)):
            raise AssertionError("left although it was cancelled")

    holding = asyncio.create_task(holder())
    await clock.settle()
    waiting = asyncio.create_task(waiter())
    await clock.advance(2)  # the pace has room again, the place is not free
    release.set()
    if not cancel_first:
        await asyncio.sleep(0)  # the holder leaves and lets the waiter in, which has not run yet
        assert limiter_of(throttle).in_flight == 1
    waiting.cancel()
    if close:
        throttle.close()
    await clock.settle()
    assert holding.done()
    assert waiting.cancelled()
    assert limiter_of(throttle).in_flight == 0
    quota = limiter_of(throttle).tokens
    assert quota is not None
    assert quota.windows[0].held == 100  # the holder's


async def test_a_cancelled_head_lets_the_next_one_go() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(tpm=60), OPENAI, clock)
    log = await play(throttle, clock, [Arrival(0, 2, None, 0), Arrival(0, 100, None, 0, 0.1), Arrival(0, 1, None, 0)])
    assert [(round(time, 3), index) for time, index in log.admitted] == [(0, 0), (2, 2)]


async def test_after_a_pause_they_leave_one_by_one() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(concurrency=8), COMPATIBLE, clock)
    limiter_of(throttle).pause(30, clock.monotonic())
    log = await play(throttle, clock, [Arrival(0, 0, None, 100)] * 8)
    steps = [time - 30 for time, _ in log.admitted]
    assert steps == pytest.approx([RAMP_SECONDS / 8 * number for number in range(8)], abs=0.01)


async def test_what_is_larger_than_the_limit_leaves_alone() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(tpm=6000), OPENAI, clock)
    log = await play(throttle, clock, [Arrival(0, 100, None, 1), Arrival(0, 7000, None, 1), Arrival(0, 100, None, 1)])
    first, large, after = (time for time, _ in log.admitted)
    assert (first, large) == pytest.approx((0, 60.25))
    assert after >= large + 60


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 1000)), max_size=40), st.sampled_from([0.0, 1e6, 1e9]))
def test_a_window_waits_no_longer_than_it_must(steps: list[tuple[float, int]], start: float) -> None:
    window, quota = Window(1000, 60), Quota(1000, [60], start, given=True)
    now = start
    taken: list[tuple[float, int]] = []
    for pause, cost in steps:
        now += pause
        wait = window.wait_seconds(cost, now)
        held = sum(c for at, c in taken if at + window.span > now)
        assert (wait <= 0) == (held + cost <= 1000 or held == 0 or not any(at + window.span > now for at, _ in taken))
        now += max(0.0, wait)
        assert window.wait_seconds(cost, now) <= LEEWAY_SECONDS
        charge = quota.take(cost, now)
        window.add(charge)
        taken.append((charge.at, cost))


async def test_a_raised_limit_wakes_who_waits() -> None:
    clock = FakeClock()
    throttle = throttle_for(LimitOptions(rpm=1, concurrency=4), OPENAI, clock)

    async def leave() -> float:
        async with throttle.reserve(request(10)):
            return clock.elapsed

    first, second = asyncio.ensure_future(leave()), asyncio.ensure_future(leave())
    await clock.advance(10)
    assert (first.done(), second.done()) == (True, False)
    throttle.set_limits(LimitOptions(rpm=600, concurrency=4))
    await clock.advance(1)
    assert await second < 11
