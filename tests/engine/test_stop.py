"""Stopping: the first request counts, signals ask once and then insist, and nobody else's handlers are lost."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from pipeline.clock import SystemClock
from pipeline.engine.stop import SIGNALS, Stop, signals_interrupt
from pipeline.errors import RunError


def a_stop(grace_seconds: float = 25.0) -> Stop:
    return Stop(SystemClock(), grace_seconds)


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


async def test_the_first_reason_counts_and_callbacks_run_once() -> None:
    stop, called = a_stop(), []
    stop.on_request(lambda: called.append(1))
    assert not stop.requested
    stop.interrupt("terminated")
    stop.request("interrupted")
    assert (stop.reason, called) == ("terminated", [1])
    stop.on_request(lambda: called.append(2))
    assert called == [1, 2], "who comes late is told at once"


def test_of_several_troubles_the_first_is_told() -> None:
    stop, first = a_stop(), RunError("first")
    stop.fail(first)
    stop.fail(RunError("second"))
    assert (stop.error, stop.reason) == (first, "trouble")


async def test_trouble_after_an_interrupt_is_still_told() -> None:
    stop = a_stop()
    stop.interrupt("interrupted")
    stop.fail(RunError("401"))
    assert str(stop.error) == "401"


async def wait_for(stop: Stop, *signals: signal.Signals) -> None:
    """Wait abandonably while this process sends itself `signals`, one after the other."""
    with signals_interrupt(stop), stop.abandonable():
        for number in signals:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0)  # the handler runs, and hands over to the loop
            await asyncio.sleep(0)
        if len(signals) > 1:
            await asyncio.Event().wait()


@pytest.mark.parametrize(("number", "reason"), SIGNALS.items())
async def test_the_first_signal_asks_and_cancels_nothing(number: signal.Signals, reason: str) -> None:
    stop = a_stop()
    await asyncio.wait_for(wait_for(stop, number), 5)
    assert stop.reason == reason


@pytest.mark.parametrize("second", SIGNALS)
async def test_the_second_signal_gives_up_what_is_waited_for(second: signal.Signals) -> None:
    stop = a_stop()
    await asyncio.wait_for(wait_for(stop, signal.SIGINT, second), 5)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "the cancellation was ours and must not leak to whoever awaits this task"
    assert stop.reason == "interrupted"


async def test_a_third_signal_does_not_disturb_the_tidying_up() -> None:
    stop = a_stop()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stop.interrupt("interrupted")
            await asyncio.sleep(0)

    with signals_interrupt(stop):
        with stop.abandonable():
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
                await asyncio.sleep(0)
                stop.interrupt("interrupted")
                stop.interrupt("interrupted")
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.001)


async def test_a_signal_with_nothing_in_flight_cancels_nothing() -> None:
    stop = a_stop()
    with signals_interrupt(stop):
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.001)
    assert stop.reason == "terminated"


async def wait_abandonably(stop: Stop) -> None:
    with stop.abandonable():
        await asyncio.Event().wait()


async def test_somebody_elses_cancellation_passes_through() -> None:
    for signals in (0, 1, 2):
        stop = a_stop()
        task = asyncio.ensure_future(wait_abandonably(stop))
        await asyncio.sleep(0)
        for _ in range(signals):
            stop.interrupt("interrupted")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_timeout_around_it_still_works() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await wait_abandonably(a_stop())


async def test_a_cancelled_task_may_still_be_abandoned() -> None:
    """Somebody tidies up with a run, in a task that was cancelled before."""
    done = asyncio.Event()

    async def tidy_up(stop: Stop) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with stop.abandonable():
                done.set()
                await asyncio.Event().wait()

    stop = a_stop()
    task = asyncio.ensure_future(tidy_up(stop))
    await asyncio.sleep(0)
    task.cancel()
    await done.wait()
    stop.interrupt("interrupted")
    stop.interrupt("interrupted")
    await asyncio.wait_for(task, 5)
    assert task.cancelling() == 1


async def test_the_callers_own_handlers_come_back() -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def mine(number: int, frame: FrameType | None) -> None: ...

    before = signal.signal(signal.SIGINT, mine)
    loop.add_signal_handler(signal.SIGTERM, told.set)
    try:
        with signals_interrupt(a_stop()):
            pass
        assert signal.getsignal(signal.SIGINT) is mine
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(told.wait(), 5)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGINT, before)


async def test_a_signal_means_all_runs_and_goes_on_meaning_the_last() -> None:
    first, second = a_stop(), a_stop()
    both = [signals_interrupt(first), signals_interrupt(second)]
    for handlers in both:
        handlers.__enter__()
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.001)
    assert (first.reason, second.reason) == ("interrupted", "interrupted")
    both[0].__exit__(None, None, None)
    third = a_stop()
    with signals_interrupt(third):
        both[1].__exit__(None, None, None)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.001)
    assert third.reason == "terminated"


def test_outside_the_main_thread_signals_are_somebody_elses() -> None:
    handlers: list[object] = []

    async def look() -> None:
        with signals_interrupt(a_stop()):
            handlers.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=lambda: asyncio.run(look()))
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(number) for number in SIGNALS]
