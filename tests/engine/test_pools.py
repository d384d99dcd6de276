"""Threads of a run: as many as there is time for, closed without holding up the loop, work never cut short."""

import asyncio
import math
import os
import threading

import pytest

from pipeline.engine import pools as pools_module
from pipeline.engine.pools import alone, on, open_pools, read_cpu_max, usable_cores


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000\n", math.inf), ("200000 100000\n", 2.0), ("50000 100000\n", 0.5)]
)
def test_a_containers_share_of_the_processors(text: str, cores: float) -> None:
    assert read_cpu_max(text) == cores


def test_at_least_one_core_and_no_more_than_there_are() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


async def test_closing_waits_for_what_was_begun_and_the_loop_goes_on_meanwhile() -> None:
    """The job in the thread ends only when the loop has turned: a loop that joins it itself waits in vain."""
    begun, turned, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        if turned.wait(10):
            ended.set()

    async with open_pools() as pools:
        working = asyncio.get_running_loop().run_in_executor(pools.images, work)
        await asyncio.to_thread(begun.wait, 10)
        asyncio.get_running_loop().call_later(0.01, turned.set)
    assert ended.is_set()
    await working


async def test_what_nobody_has_begun_is_dropped_when_the_run_ends() -> None:
    hold, done = threading.Event(), []
    async with open_pools() as pools:
        loop = asyncio.get_running_loop()
        begun = threading.Barrier(pools.image_workers + 1, timeout=10)

        def work() -> None:
            begun.wait()
            hold.wait(10)

        first = [loop.run_in_executor(pools.images, work) for _ in range(pools.image_workers)]
        await asyncio.to_thread(begun.wait)
        loop.run_in_executor(pools.images, done.append, 1)
        loop.call_later(0.01, hold.set)
    assert done == []
    await asyncio.gather(*first)


async def test_a_cancelled_caller_never_cancels_the_work() -> None:
    may_end, rows = threading.Event(), []

    def write() -> None:
        may_end.wait(10)
        rows.append("row")

    async with open_pools() as pools:
        waiting = [asyncio.ensure_future(on(pools.disk, write)) for _ in range(2)]  # one at work, one in the queue
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        may_end.set()
    assert rows == ["row", "row"]


async def test_closing_goes_on_when_it_is_cancelled_too() -> None:
    begun = asyncio.Event()
    ended = threading.Event()
    may_end = threading.Event()

    async def use() -> None:
        loop = asyncio.get_running_loop()

        def work() -> None:
            loop.call_soon_threadsafe(begun.set)
            if may_end.wait(10):
                ended.set()

        async with open_pools() as pools:
            loop.run_in_executor(pools.images, work)
            await asyncio.Event().wait()

    task = asyncio.ensure_future(use())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()
    threading.Timer(0.05, may_end.set).start()
    await asyncio.wait([task])
    assert ended.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("image", "disk", "list"))]


async def test_what_hangs_in_the_system_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools_module, "LEAVE_SECONDS", 0.01)
    begun, may_end = threading.Event(), threading.Event()
    async with asyncio.timeout(5), open_pools() as pools:
        loop = asyncio.get_running_loop()
        hanging = loop.run_in_executor(pools.lister, lambda: (begun.set(), may_end.wait(10)))
        await asyncio.to_thread(begun.wait, 10)
    [thread] = [thread for thread in threading.enumerate() if thread.name.startswith("list")]
    assert thread.daemon, "the process may end without it"
    may_end.set()
    await hanging
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_work_of_its_own_thread_is_left_behind_by_a_cancel() -> None:
    assert await alone(pow, 2, 5) == 32
    begun, may_end = threading.Event(), threading.Event()
    hanging = asyncio.ensure_future(alone(lambda: (begun.set(), may_end.wait(10))))
    await asyncio.to_thread(begun.wait, 10)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(hanging, 5)
    [thread] = [thread for thread in threading.enumerate() if thread.name.startswith("alone")]
    assert thread.daemon
    may_end.set()
    await asyncio.to_thread(thread.join, 10)
