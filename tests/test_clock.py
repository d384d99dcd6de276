import asyncio
from datetime import UTC, datetime

import pytest

from pipeline.clock import Clock, ScaledClock, SystemClock, utc
from tests.helpers.clock import FakeClock


def test_a_time_stamp_knows_its_zone() -> None:
    assert utc(1_763_000_000.25) == datetime(2025, 11, 13, 2, 13, 20, 250_000, tzinfo=UTC)


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock(), ScaledClock(2)], ids=["system", "fake", "scaled"])
async def test_sleeping_moves_both_times(clock: Clock) -> None:
    before = clock.time(), clock.monotonic()
    if isinstance(clock, FakeClock):
        with clock.autojump():
            await clock.sleep(0.02)
    else:
        await clock.sleep(0.02)
    assert clock.monotonic() - before[1] >= 0.019
    assert clock.time() - before[0] >= 0.019


async def test_a_timer_of_the_system_clock_runs_unless_cancelled() -> None:
    ran: list[str] = []
    clock = SystemClock()
    clock.call_later(0, lambda: ran.append("kept"))
    clock.call_later(0, lambda: ran.append("cancelled")).cancel()
    await clock.sleep(0.01)
    assert ran == ["kept"]


async def test_fake_time_stands_still_until_it_is_moved() -> None:
    clock = FakeClock()
    sleeper = asyncio.create_task(clock.sleep(10))
    await clock.settle()
    assert (clock.elapsed, clock.pending) == (0, 1)
    await clock.advance(9.5)
    assert not sleeper.done()
    await clock.advance(0.5)
    assert sleeper.done()
    assert (clock.elapsed, clock.pending) == (10, 0)


async def test_advancing_keeps_the_order_of_what_happens_on_the_way() -> None:
    clock = FakeClock()
    seen: list[tuple[str, float]] = []

    async def worker(name: str, pace: float) -> None:
        for _ in range(2):
            await clock.sleep(pace)
            seen.append((name, clock.elapsed))

    tasks = [asyncio.create_task(worker("slow", 3)), asyncio.create_task(worker("quick", 1))]
    await clock.advance(100)
    assert seen == [("quick", 1), ("quick", 2), ("slow", 3), ("slow", 6)]
    assert all(task.done() for task in tasks)


async def test_a_jump_waits_for_whatever_is_still_going_on() -> None:
    clock = FakeClock()
    at: list[float] = []

    async def busy() -> None:
        for _ in range(50):
            await asyncio.sleep(0)
        at.append(clock.elapsed)

    with clock.autojump():
        await asyncio.gather(clock.sleep(1000), busy())
    assert at == [0]
    assert clock.elapsed == 1000


async def test_a_loop_that_never_rests_is_found_out() -> None:
    clock = FakeClock()

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    spinner = asyncio.create_task(spin())
    with pytest.raises(AssertionError, match="never idle"):
        await clock.settle()
    spinner.cancel()


async def test_a_scaled_clock_starts_now_and_goes_faster() -> None:
    clock, real = ScaledClock(1000), SystemClock()
    assert abs(clock.time() - real.time()) < 60
    before = clock.monotonic(), clock.time(), real.monotonic()
    woken = asyncio.Event()
    clock.call_later(20, woken.set)
    await clock.sleep(20)
    await woken.wait()
    assert clock.monotonic() - before[0] >= 20
    assert clock.time() - before[1] >= 20
    assert real.monotonic() - before[2] < 15
