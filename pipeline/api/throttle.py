"""When a request may leave: requests and tokens per minute, requests in flight, pauses that the server asked for.

`Limiter` is a pure state machine over time stamps; `Throttle` lets coroutines wait on it, strictly first come, first
served, so that a large request is never starved by small ones. A request reserves its worst case and is settled with
the real usage. Nothing is held while waiting, and cancelling a waiter gives back what it took.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from pipeline.api.options import LimitOptions
from pipeline.clock import Clock, Timer

# A bucket holds this many seconds of its rate: enough to keep a busy loop from starving it, far below a minute, so that
# a server that enforces its limit over ten seconds is satisfied too.
BURST_SECONDS = 2.0


class ThrottleClosed(Exception):
    """The run is stopping: what has not been sent will not be."""


class Bucket:
    """A continuous token bucket. A cost above its capacity is let through when it is full and leaves a debt."""

    def __init__(self, per_minute: float, now: float) -> None:
        self.rate = per_minute / 60.0
        self.capacity = max(1.0, self.rate * BURST_SECONDS)
        self.level = self.capacity
        self._updated = now

    def wait_seconds(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be taken; 0 means now."""
        self._refill(now)
        missing = min(cost, self.capacity) - self.level
        return missing / self.rate if missing > 1e-9 else 0.0

    def take(self, cost: float) -> None:
        """Take `cost`; negative gives back."""
        self.level = min(self.capacity, self.level - cost)

    def _refill(self, now: float) -> None:
        self.level = min(self.capacity, self.level + (now - self._updated) * self.rate)
        self._updated = now


class Limiter:
    """All limits of one endpoint as a state machine; every method takes or follows a time stamp, none waits."""

    def __init__(self, limits: LimitOptions, now: float) -> None:
        self.in_flight = 0
        self.concurrency = limits.concurrency
        self.paused_until = now
        self.requests = Bucket(limits.rpm, now) if limits.rpm else None
        self.tokens = Bucket(limits.tpm, now) if limits.tpm else None

    def wait_seconds(self, tokens: int, now: float) -> float | None:
        """Seconds until a request of `tokens` may leave; 0 means now, None means when another one has ended."""
        if self.in_flight >= self.concurrency:
            return None
        waits = [self.paused_until - now]
        if self.requests:
            waits.append(self.requests.wait_seconds(1, now))
        if self.tokens:
            waits.append(self.tokens.wait_seconds(tokens, now))
        return max(0.0, *waits)

    def admit(self, tokens: int) -> None:
        """A request leaves."""
        self.in_flight += 1
        if self.requests:
            self.requests.take(1)
        if self.tokens:
            self.tokens.take(tokens)

    def settle(self, reserved: int, used: int | None) -> None:
        """A request ended; `used` is what it really cost in tokens, None when the server did not say."""
        self.in_flight -= 1
        if self.tokens and used is not None:
            self.tokens.take(used - reserved)

    def withdraw(self, tokens: int) -> None:
        """An admitted request was never sent."""
        self.settle(tokens, 0)
        if self.requests:
            self.requests.take(-1)

    def pause(self, until: float) -> None:
        """Let nothing leave before `until`."""
        self.paused_until = max(self.paused_until, until)


@dataclass(slots=True)
class Reservation:
    """What a request may cost; its owner sets `used_tokens` before the reservation ends."""

    tokens: int
    used_tokens: int | None = None


class Throttle:
    """The waiting room in front of a Limiter: one line, one timer."""

    def __init__(self, limits: LimitOptions, clock: Clock) -> None:
        self._clock = clock
        self.limiter = Limiter(limits, clock.monotonic())
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._sleepers: set[asyncio.Future[None]] = set()
        self._timer: Timer | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"Throttle(in_flight={self.limiter.in_flight}, waiting={len(self._line)})"

    @asynccontextmanager
    async def reserve(self, tokens: int, *, retry: bool = False) -> AsyncIterator[Reservation]:
        """Wait for a place, hold it for the length of the block. A retry goes to the front of the line.

        Raises ThrottleClosed when the run stops before the request could leave.
        """
        await self._admission(tokens, retry)
        reservation = Reservation(tokens)
        try:
            yield reservation
        finally:
            self.limiter.settle(tokens, reservation.used_tokens)
            self._move_line()

    def pause(self, seconds: float) -> None:
        """The server asked for silence: hold every new request for `seconds`."""
        self.limiter.pause(self._clock.monotonic() + seconds)

    async def sleep(self, seconds: float) -> None:
        """Wait before a retry, holding nothing. Raises ThrottleClosed when the run stops meanwhile."""
        if self._closed:
            raise ThrottleClosed
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(_wake, woken))
        self._sleepers.add(woken)
        try:
            await woken
        finally:
            timer.cancel()
            self._sleepers.discard(woken)

    def close(self) -> None:
        """Nothing leaves any more; all who wait get ThrottleClosed. Requests in flight are not touched."""
        self._closed = True
        for waiting in [*self._sleepers, *(admitted for _, admitted in self._line)]:
            if not waiting.done():
                waiting.set_exception(ThrottleClosed())
        self._line.clear()

    async def _admission(self, tokens: int, retry: bool) -> None:
        if self._closed:
            raise ThrottleClosed
        if not self._line and self.limiter.wait_seconds(tokens, self._clock.monotonic()) == 0:
            self.limiter.admit(tokens)
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (tokens, admitted)
        if retry:
            self._line.appendleft(place)
        else:
            self._line.append(place)
        self._move_line()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled() and admitted.exception() is None:
                self.limiter.withdraw(tokens)  # admitted and cancelled in the same turn of the loop
            elif place in self._line:
                self._line.remove(place)
            self._move_line()
            raise

    def _move_line(self) -> None:
        """Let leave who may; set the one timer for who stands first then."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._line:
            tokens, admitted = self._line[0]
            wait = self.limiter.wait_seconds(tokens, self._clock.monotonic())
            if wait is None:
                return
            if wait > 0:
                self._timer = self._clock.call_later(wait, self._move_line)
                return
            self._line.popleft()
            self.limiter.admit(tokens)
            admitted.set_result(None)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
