"""Time that passes when a test says so, or when nothing else is left to do. Implements `pipeline.clock.Clock`."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Different on purpose, so that a duration taken from the wrong one shows; and large, so that rounding errors do.
EPOCH_SECONDS = 1_763_000_000.0
UPTIME_SECONDS = 1_000_000.0
TURNS_AT_MOST = 10_000


class FakeClock:
    """A clock for one event loop.

    `await clock.advance(seconds)` moves it by hand; inside `with clock.autojump():` it jumps to the next timer whenever
    the loop is idle, so that hours pass in milliseconds. It never moves otherwise. Needs asyncio's own event loop.
    """

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._timers: list[Timer] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return EPOCH_SECONDS + self._elapsed

    def monotonic(self) -> float:
        return UPTIME_SECONDS + self._elapsed

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the clock was made."""
        return self._elapsed

    @property
    def pending(self) -> int:
        """Timers that are neither due nor cancelled."""
        return sum(not timer.cancelled for timer in self._timers)

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> "Timer":
        timer = Timer(self._elapsed + max(0.0, seconds), next(self._numbers), callback)
        heapq.heappush(self._timers, timer)
        return timer

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, with everything that happens meanwhile, in order."""
        until = self._elapsed + seconds
        await self.settle()
        while (due := self._next_due()) is not None and due <= until:
            self._jump()
            await self.settle()
        self._elapsed = until

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        ready = _private(asyncio.get_running_loop(), "_ready")
        for _ in range(TURNS_AT_MOST):
            await asyncio.sleep(0)
            if not ready:
                return
        raise AssertionError("the loop is never idle: something runs without waiting")

    @contextmanager
    def autojump(self, idle_seconds: float = 0.0) -> Iterator[None]:
        """Jump to the next timer when nothing has happened for `idle_seconds` of real time.

        0 suits tasks that only wait for each other; with sockets, 0.001 lets the kernel carry the bytes over; threads
        need as long as their jobs take.
        """
        loop = asyncio.get_running_loop()
        real = _private(loop, "_selector")
        setattr(loop, "_selector", _IdleSelector(real, self, idle_seconds))  # noqa: B010
        try:
            yield
        finally:
            setattr(loop, "_selector", real)  # noqa: B010

    def _next_due(self) -> float | None:
        while self._timers and self._timers[0].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0].due if self._timers else None

    def _jump(self) -> bool:
        """Go to the next timer and run what is due then; False when there is none."""
        due = self._next_due()
        if due is None:
            return False
        self._elapsed = max(self._elapsed, due)
        while self._next_due() == due:
            asyncio.get_running_loop().call_soon(heapq.heappop(self._timers).run)
        return True


class Timer:
    """A call that was put off."""

    def __init__(self, due: float, number: int, callback: Callable[[], object]) -> None:
        self.due = due
        self.cancelled = False
        self._number = number
        self._callback = callback

    def __lt__(self, other: "Timer") -> bool:
        return (self.due, self._number) < (other.due, other._number)

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        if not self.cancelled:
            self._callback()


class _IdleSelector:
    """The loop's selector, asked whenever the loop has nothing ready to run: the one place that sees it idle."""

    def __init__(self, selector: Any, clock: FakeClock, idle_seconds: float) -> None:
        self._selector = selector
        self._clock = clock
        self._idle_seconds = idle_seconds

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= self._idle_seconds:
            return self._selector.select(timeout)
        events = self._selector.select(self._idle_seconds)
        if events or self._clock._jump():
            return events
        rest = None if timeout is None else timeout - self._idle_seconds
        return self._selector.select(rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)


def _private(loop: asyncio.AbstractEventLoop, name: str) -> Any:
    """asyncio tells nobody whether it is idle."""
    return getattr(loop, name)
