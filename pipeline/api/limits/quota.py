"""Requests or tokens per minute: an even pace, the windows, and what the server's headers say. Pure, told the time."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.api.limits.rules import MINUTE_SECONDS
from pipeline.api.limits.windows import Charge, Window
from pipeline.api.reading.headers import Standing

# A busy loop or a late timer may catch up with so much of the pace; as a burst after silence, it is far below a window.
CATCH_UP_SECONDS = 0.25
# A timer or a busy loop lets a request leave so much after its turn; counted from its turn, this costs no quota, where
# each of a window's requests would pass the delay on (measured with 1 s windows on a busy machine: 97.8 % used, not
# 98.5 %). A third of the shortest window's margin.
LATE_SECONDS = 0.005
# By more than this share of the limit the server has to differ from our count, to be believed to have other customers:
# requests overtake each other on their way.
SLACK_SHARE = 0.01
# A minute's limit is reset within a minute; rounded to whole seconds, and read late.
MINUTE_AT_MOST_SECONDS = 61.0
DOUBTFUL_SECONDS = 2 * MINUTE_SECONDS


@dataclass(frozen=True, slots=True)
class Fence:
    """What the server lets through: `allowed` of all that is taken, `rate` more each second. Void after `until`."""

    seen: Charge
    """Of the request whose answer said so."""
    allowed: int
    rate: float
    until: float


class Quota:
    """One limit of an endpoint."""

    def __init__(self, per_minute: float, windows: Iterable[float], now: float, *, given: bool) -> None:
        self.given = given
        """By the user; otherwise learned from headers."""
        self.windows = [Window(per_minute, seconds) for seconds in sorted(windows, reverse=True)]
        self.per_minute = per_minute
        self._rate = per_minute / MINUTE_SECONDS
        self._taken = 0
        self._next_at = now
        self._fence: Fence | None = None
        self._last_at = self._last_turn = now
        self._last_cost = 0
        self._allowed = 0.0
        """From the first time something was taken until `_allowed_until`."""
        self._allowed_until = now

    def set_limit(self, per_minute: float, now: float) -> None:
        """Change the limit; what was taken stays taken, and is paid off at the new pace."""
        debt = (self._next_at - now) * self._rate
        self._allowed, self._allowed_until = self._allowed_by(now), now
        self.per_minute = per_minute
        self._rate = per_minute / MINUTE_SECONDS
        self._next_at = now + debt / self._rate
        for window in self.windows:
            window.set_limit(per_minute)

    @property
    def utilisation(self) -> float | None:
        """Share of the limit that was used, from the first to the last time something was taken; None: too short."""
        allowed = self._allowed_by(self._last_at)
        # What was taken last is paid off after that time.
        return (self._taken - self._last_cost) / allowed if allowed > 0 else None

    def _allowed_by(self, now: float) -> float:
        return self._allowed + (now - self._allowed_until) * self._rate

    def wait_seconds(self, cost: int, now: float) -> float:
        """Seconds until `cost` may be taken; not above 0 means now."""
        wait = self._next_at - now
        for window in self.windows:
            wait = max(wait, window.wait_seconds(cost, now))
        if self._fence:
            wait = max(wait, self._fence_seconds(self._fence, cost, now))
        return wait

    def take(self, cost: int, now: float) -> Charge:
        """Take `cost`. The pace lets it pass when what was taken before is paid off, and makes the next one wait."""
        turn = now - min(LATE_SECONDS, max(0.0, -self.wait_seconds(cost, now)))
        self._last_turn = max(self._last_turn, turn)
        self._next_at = max(self._next_at, now - CATCH_UP_SECONDS) + cost / self._rate
        if not self._taken:
            self._allowed_until = now
            self._allowed = 0.0
        self._last_at, self._last_cost = now, cost
        self._taken += cost
        minute = self.windows[0]
        charge = Charge(self._last_turn, cost, self._taken, minute.held + cost)
        for window in self.windows:
            window.add(charge)
        return charge

    def give_back(self, charge: Charge, amount: int) -> None:
        """The charge turned out smaller."""
        for window in self.windows:
            window.give_back(charge, amount)
        charge.cost -= amount
        self._taken -= amount
        self._next_at -= amount / self._rate

    def seed(self, used: int, reset_at: float, in_flight: int, now: float) -> None:
        """What the server had counted when the limit became known, all of it gone at `reset_at`."""
        minute = self.windows[0]
        minute.add(Charge(min(reset_at - minute.span, now), used, used, used))
        for window in self.windows:
            window.add(Charge(now, in_flight, in_flight, in_flight))

    def hear(self, charge: Charge, standing: Standing, refills: bool) -> None:
        """Believe a server that has counted more than we have: others use the account, or it counts differently."""
        if standing.remaining is None or not standing.reset_seconds or standing.limit is None:
            return
        if self._fence and charge.at < self._fence.seen.at:
            return  # older news
        used = standing.limit - standing.remaining
        until = charge.at + min(standing.reset_seconds, MINUTE_SECONDS)
        allowed = charge.taken + int(standing.remaining)
        if refills:
            self._fence = Fence(charge, allowed, self._rate, until)
        elif used > charge.held + max(SLACK_SHARE * standing.limit, 1):
            self._fence = Fence(charge, allowed, 0.0, until)
        else:
            self._fence = None

    def _fence_seconds(self, fence: Fence, cost: int, now: float) -> float:
        rest = fence.until - now
        if rest <= 0:
            self._fence = None
            return 0.0
        short = self._taken + cost - fence.allowed - fence.rate * (now - fence.seen.at)
        if short <= 0:
            return 0.0
        return min(short / fence.rate, rest) if fence.rate else rest


def is_per_minute(standing: Standing, refills: bool) -> bool:
    """Whether a limit in the headers is one of a minute, and not of a day as OpenAI's small accounts and Groq have.

    A bucket that refills says by what it lacks and how long that takes over how long it refills as a whole.
    """
    if standing.limit is None or standing.limit < 1:
        return False
    if standing.reset_seconds is None or standing.remaining is None:
        return True
    used = standing.limit - standing.remaining
    if not refills or used <= 0:
        return used >= 0 and standing.reset_seconds <= MINUTE_AT_MOST_SECONDS
    return standing.reset_seconds * standing.limit <= DOUBTFUL_SECONDS * used
