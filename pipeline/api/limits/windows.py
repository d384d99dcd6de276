"""A limit over sliding windows: in no window of its length does more leave than the limit. Pure, told the time."""

import math
from collections import deque
from dataclasses import dataclass

from pipeline.api.limits.rules import MINUTE_SECONDS

# No two requests are equally long on their way to the server, so our windows are longer than the provider's: 15 ms for
# one second (costs 1.5 % of the quota), a quarter of a second for a minute (0.4 %). Timers' lateness is in it too.
MARGIN_SHARE = 0.015
MARGIN_SECONDS_AT_MOST = 0.25


@dataclass(slots=True, eq=False)
class Charge:
    """What one request took from a limit."""

    at: float
    cost: int
    taken: int
    """By all requests until then, this one included."""
    held: int
    """What the minute held then, this one included."""


class Window:
    """What was taken within the last `seconds`, and a little longer."""

    def __init__(self, per_minute: float, seconds: float) -> None:
        self.seconds = seconds
        self.span = seconds + min(MARGIN_SHARE * seconds, MARGIN_SECONDS_AT_MOST)
        self.held = 0
        self._freed_at = -math.inf
        """When there was last more room than before."""
        self._charges: deque[Charge] = deque()
        self.set_limit(per_minute)

    def set_limit(self, per_minute: float) -> None:
        share = per_minute * self.seconds / MINUTE_SECONDS
        # 100 requests a minute are 16.7 in ten seconds: even the steadiest pace has 17 in some of them.
        self.limit = share if self.seconds >= MINUTE_SECONDS else math.ceil(share)

    def wait_seconds(self, cost: int, now: float) -> float:
        """Seconds until `cost` fits; below 0: for so long it has fitted, at least.

        What is larger than the limit fits once nothing else is held.
        """
        self._forget(now)
        excess = self.held + cost - self.limit
        until = self._freed_at
        for charge in self._charges:
            if excess <= 0:
                break
            excess -= charge.cost
            until = charge.at + self.span
        return until - now

    def add(self, charge: Charge) -> None:
        """Charges come in the order of their time."""
        self._charges.append(charge)
        self.held += charge.cost

    def give_back(self, charge: Charge, amount: int) -> None:
        """Call before the charge's own cost is lowered."""
        if self._charges and self._charges[0].at <= charge.at:  # else it is forgotten already
            self.held -= amount

    def _forget(self, now: float) -> None:
        charges = self._charges
        while charges and charges[0].at + self.span <= now:
            charge = charges.popleft()
            self.held -= charge.cost
            self._freed_at = charge.at + self.span
