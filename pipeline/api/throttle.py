"""The waiting line in front of an endpoint's limits.

Strictly first come, first served, so that a large request is never starved by small ones; retries stand before the
first. Nothing is held while waiting, and cancelling a waiter gives back what it took. When somebody may leave is
`limits.limiter`'s business.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TypeVar

from pipeline.api.limits.limiter import Admission, Limiter
from pipeline.api.limits.rules import LimitRules
from pipeline.api.options import LimitOptions
from pipeline.clock import Clock, Timer

T = TypeVar("T")


class ThrottleClosed(Exception):
    """The run is stopping: what has not been sent will not be."""


class Reservation:
    """A place among the requests in flight; an async context manager that waits for it and gives it back."""

    __slots__ = ("_admission", "_retry", "_throttle", "_tokens")

    def __init__(self, throttle: "Throttle", tokens: int, retry: bool) -> None:
        self._throttle = throttle
        self._tokens = tokens
        self._retry = retry

    async def __aenter__(self) -> Admission:
        self._admission = await self._throttle._admit(self._tokens, self._retry)
        return self._admission

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._throttle._settle(self._admission)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A place in the line."""

    tokens: int
    may_leave: asyncio.Future[Admission | None]
    """None: the throttle was closed."""


class Throttle:
    """The waiting room in front of a Limiter: one line, one timer."""

    def __init__(self, limits: LimitOptions, rules: LimitRules, clock: Clock) -> None:
        self._clock = clock
        self.limiter = Limiter(limits, rules, clock.monotonic())
        self._retries: deque[_Place] = deque()
        self._line: deque[_Place] = deque()
        self._sleepers: set[asyncio.Future[bool]] = set()
        self._timer: Timer | None = None
        self._closed = False

    def __repr__(self) -> str:
        waiting = sum(not place.may_leave.done() for place in (*self._retries, *self._line))
        return f"Throttle(in_flight={self.limiter.in_flight}, waiting={waiting})"

    def reserve(self, tokens: int, *, retry: bool = False) -> Reservation:
        """Wait for a place, hold it for the length of the block. A retry stands before all that are no retries.

        Raises ThrottleClosed when the run stops before the request could leave.
        """
        return Reservation(self, tokens, retry)

    def pause(self, seconds: float) -> None:
        """The server asked for silence: hold every new request for `seconds`."""
        self.limiter.pause(seconds, self._clock.monotonic())

    def set_limits(self, limits: LimitOptions) -> None:
        """The user changed limits: they hold at once, also for those who wait already."""
        self.limiter.set_limits(limits, self._clock.monotonic())
        self._move_line()

    async def sleep(self, seconds: float) -> None:
        """Wait before a retry, holding nothing. Raises ThrottleClosed when the run stops meanwhile."""
        if self._closed:
            raise ThrottleClosed
        rested: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, partial(_answer, rested, True))
        self._sleepers.add(rested)
        try:
            if not await rested:
                raise ThrottleClosed
        finally:
            timer.cancel()
            self._sleepers.discard(rested)

    def close(self) -> None:
        """Nothing leaves any more; all who wait get ThrottleClosed. Requests in flight are not touched."""
        self._closed = True
        for sleeper in self._sleepers:
            _answer(sleeper, False)
        for place in (*self._retries, *self._line):
            _answer(place.may_leave, None)
        self._move_line()  # empties the line and stops its timer

    async def _admit(self, tokens: int, retry: bool) -> Admission:
        if self._closed:
            raise ThrottleClosed
        now = self._clock.monotonic()
        if not self._retries and not self._line and self.limiter.wait_seconds(tokens, now) == 0:
            return self.limiter.admit(tokens, now)  # the usual case without limits: no future, no turn of the loop
        place = _Place(tokens, asyncio.get_running_loop().create_future())
        (self._retries if retry else self._line).append(place)
        self._move_line()
        try:
            admission = await place.may_leave
        except asyncio.CancelledError:
            if not place.may_leave.cancelled() and (admission := place.may_leave.result()):
                self.limiter.withdraw(admission)  # admitted and cancelled in the same turn of the loop
            self._move_line()
            raise
        if admission is None:
            raise ThrottleClosed
        return admission

    def _settle(self, admission: Admission) -> None:
        self.limiter.settle(admission, self._clock.monotonic())
        if self._retries or self._line:
            self._move_line()

    def _move_line(self) -> None:
        """Let leave who may; set the one timer for who stands first then."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while line := self._retries or self._line:
            place = line[0]
            if not place.may_leave.done():  # else it was cancelled, or the throttle closed
                now = self._clock.monotonic()
                wait = self.limiter.wait_seconds(place.tokens, now)
                if wait is None:
                    return
                if wait > 0:
                    self._timer = self._clock.call_later(wait, self._move_line)
                    return
                place.may_leave.set_result(self.limiter.admit(place.tokens, now))
            line.popleft()


def _answer(waiting: asyncio.Future[T], answer: T) -> None:
    if not waiting.done():
        waiting.set_result(answer)
