"""The one waiting line in front of all endpoints.

Strictly first come, first served, so that a large request is never starved by small ones; retries stand before the
first. Nothing is held while waiting, and cancelling a waiter gives back what it took. When somebody may leave, and
where to, is `pool.pool`'s business.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TypeVar

from pipeline.api.options import LimitOptions
from pipeline.api.pool.member import Member, Permit
from pipeline.api.pool.pool import Pool
from pipeline.clock import Clock, Timer
from pipeline.items import Request

T = TypeVar("T")


class ThrottleClosed(Exception):
    """The run is stopping: what has not been sent will not be."""


class Reservation:
    """A place among the requests in flight; an async context manager that waits for it and gives it back."""

    __slots__ = ("_avoid", "_permit", "_request", "_retry", "_throttle")

    def __init__(self, throttle: "Throttle", request: Request, retry: bool, avoid: Member | None) -> None:
        self._throttle = throttle
        self._request = request
        self._retry = retry
        self._avoid = avoid

    async def __aenter__(self) -> Permit:
        throttle, request, avoid = self._throttle, self._request, self._avoid
        permit = throttle._admit_at_once(request, avoid) or await throttle._admit_in_turn(request, self._retry, avoid)
        self._permit = permit
        return permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        throttle = self._throttle
        throttle.pool.settle(self._permit, throttle._clock.monotonic())
        throttle._move_lines()


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A place in the line."""

    request: Request
    avoid: Member | None
    may_leave: asyncio.Future[Permit | None]
    """None: the throttle was closed."""


class Throttle:
    """The waiting room in front of a Pool: one line, one timer."""

    def __init__(self, pool: Pool, clock: Clock, on_spent: Callable[[], None] | None = None) -> None:
        """`on_spent` is called when the budget has no room for another request; then the line is closed."""
        self._clock = clock
        self._on_spent = on_spent
        self.pool = pool
        self._retries: deque[_Place] = deque()
        self._line: deque[_Place] = deque()
        self._sleepers: set[asyncio.Future[bool]] = set()
        self._timer: Timer | None = None
        self._closed = False
        if pool.budget:
            pool.budget.purse.waiting.append(self._move_line)

    def __repr__(self) -> str:
        waiting = sum(not place.may_leave.done() for place in (*self._retries, *self._line))
        return f"Throttle(in_flight={self.pool.in_flight}, waiting={waiting})"

    def reserve(self, request: Request, *, retry: bool = False, avoid: Member | None = None) -> Reservation:
        """Wait for a place, hold it for the length of the block. A retry stands before all that are no retries, and
        goes to another endpoint than `avoid` if one has room.

        Raises ThrottleClosed when the run stops before the request could leave.
        """
        return Reservation(self, request, retry, avoid)

    def set_limits(self, limits: LimitOptions, endpoint: str = "") -> None:
        """The user changed the limits of the endpoint of that name: they hold at once, also for those who wait."""
        for member in self.pool.members:
            if member.options.name == endpoint:
                member.limiter.set_limits(limits, self._clock.monotonic())
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

    def _admit_at_once(self, request: Request, avoid: Member | None) -> Permit | None:
        """The usual case without limits: no future, no turn of the loop. None: it has to wait for its turn."""
        if self._closed or self._retries or self._line:
            return None
        now = self._clock.monotonic()
        member = self.pool.choose(request, avoid, now)
        return self.pool.admit(member, request, now) if isinstance(member, Member) else None

    async def _admit_in_turn(self, request: Request, retry: bool, avoid: Member | None) -> Permit:
        if self._closed:
            raise ThrottleClosed
        place = _Place(request, avoid, asyncio.get_running_loop().create_future())
        (self._retries if retry else self._line).append(place)
        self._move_line()
        try:
            permit = await place.may_leave
        except asyncio.CancelledError:
            if not place.may_leave.cancelled() and (permit := place.may_leave.result()):
                self.pool.withdraw(permit)  # admitted and cancelled in the same turn of the loop
            self._move_lines()
            raise
        if permit is None:
            raise ThrottleClosed
        return permit

    def _move_lines(self) -> None:
        """A place is free, and perhaps money, for which other lines wait too."""
        if self.pool.budget:
            for move in self.pool.budget.purse.waiting:
                move()
        elif self._retries or self._line:
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
                choice = self.pool.choose(place.request, place.avoid, now)
                if choice is None:
                    if self.pool.is_spent(place.request):
                        self.close()
                        if self._on_spent:
                            self._on_spent()
                    return
                if not isinstance(choice, Member):
                    self._timer = self._clock.call_later(choice, self._move_line)
                    return
                place.may_leave.set_result(self.pool.admit(choice, place.request, now))
            line.popleft()


def _answer(waiting: asyncio.Future[T], answer: T) -> None:
    if not waiting.done():
        waiting.set_result(answer)
