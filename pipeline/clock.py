"""Time as a parameter. Floor 0: everything timed takes a Clock, so that no test waits for real time to pass."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A call that was put off."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """What timed code may know about time."""

    def time(self) -> float:
        """Seconds since the Unix epoch; may jump. For time stamps only."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. For durations and limits."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call `callback` on the running loop after `seconds`, unless cancelled before."""
        ...


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


class ScaledClock:
    """The machine's clock, going `scale` times as fast from now on: a rehearsal of an hour takes a minute at 60."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._epoch = time.time()
        self._start = time.monotonic()

    def time(self) -> float:
        return self._epoch + (time.monotonic() - self._start) * self._scale

    def monotonic(self) -> float:
        return self._start + (time.monotonic() - self._start) * self._scale

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._scale)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds / self._scale, callback)


def utc(seconds: float) -> datetime:
    """`Clock.time()` as an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)
