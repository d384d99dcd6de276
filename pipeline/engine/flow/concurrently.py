"""Work on the network for code that blocks, such as an estimate: many requests at once, one result after the other."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from queue import SimpleQueue
from typing import TypeVar

from pipeline.engine.flow.channel import Channel
from pipeline.engine.flow.daemon_pool import DaemonPool

T = TypeVar("T")
R = TypeVar("R")

PAGE_ITEMS = 256


class _End:
    """After the last result; with the error that ended the work, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def concurrently(
    items: Iterable[T],
    work: Callable[[T], Awaitable[R]],
    at_once: int,
    close: Callable[[], Awaitable[None]] | None = None,
) -> Iterator[R]:
    """`work` done on each of `items`, `at_once` at a time, in the order in which it is finished. `close` comes last.

    On an event loop in a thread of its own, so that it works inside a notebook too; `items` are drawn in another, since
    that may block. What either raises ends the iteration; a caller that leaves it ends the work.
    """
    results: SimpleQueue[R | _End] = SimpleQueue()
    loop = asyncio.new_event_loop()
    done = loop.create_task(_all(iter(items), work, at_once, results.put, close))

    def run() -> None:
        error: BaseException | None = None
        try:
            loop.run_until_complete(done)
        except BaseExceptionGroup as group:
            error = group.exceptions[0]
        except BaseException as alone:
            error = alone
        finally:
            loop.close()
            results.put(_End(error))

    thread = threading.Thread(target=run, name="concurrently")
    thread.start()
    try:
        while not isinstance(result := results.get(), _End):
            yield result
    finally:
        with suppress(RuntimeError):  # it has ended
            loop.call_soon_threadsafe(done.cancel)
        thread.join()
    if result.error is not None:
        raise result.error


async def _all(
    items: Iterator[T],
    work: Callable[[T], Awaitable[R]],
    at_once: int,
    put: Callable[[R], None],
    close: Callable[[], Awaitable[None]] | None,
) -> None:
    todo: Channel[T] = Channel("todo", capacity=PAGE_ITEMS, senders=1)

    async def draw() -> None:
        with todo.sending():
            while page := await asyncio.get_running_loop().run_in_executor(lister, list, islice(items, PAGE_ITEMS)):
                for item in page:
                    await todo.put(item)

    async def take() -> None:
        while (item := await todo.get()) is not None:
            put(await work(item))

    lister = DaemonPool(1, "list")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(draw())
            for _ in range(at_once):
                group.create_task(take())
    finally:
        lister.shutdown(wait=False, cancel_futures=True)  # a listing may hang, and whoever gives up shall not
        if close:
            await close()
