"""How many requests may be in flight when nobody has said it. Pure, told the time; every change is logged.

Slow start, then a little more each round, but only while all of it is really used and answers do not become slow;
a fifth less once per episode of rate limits; trouble of the server pauses growth. After inspect_ai's controller.
"""

import logging
import math

log = logging.getLogger(__name__)

START = 8
DECREASE = 0.8
INCREASE = 0.05
SATURATED_SHARE = 0.8
EPISODE_SECONDS = 15.0
# "Slow Down" (503) asks for the old rate for a quarter of an hour (OpenAI error guide).
SLOW_DOWN_SECONDS = 900.0
# Answers that take twice as long as the best round's mean a queue at the server, which more requests only lengthen.
SLOWER_AT_MOST = 2.0
# The best is forgotten slowly: providers are slower by day. Below this latency, what is measured is our own CPU.
BEST_GROWS = 1.005
QUICK_SECONDS = 0.25


class AdaptiveConcurrency:
    """`limit` requests in flight, never above `maximum`."""

    def __init__(self, maximum: int, *, start: int | None, now: float) -> None:
        self.maximum = maximum
        self.limit = maximum if start is None else min(start, maximum)
        self._slow_start = self.limit < maximum
        self._episode_until = now
        self._growth_from = now
        self._best_seconds = math.inf
        self._peak = self._answers = 0
        self._seconds = 0.0

    def set_maximum(self, maximum: int) -> None:
        """The user allows more or fewer in flight. Where nothing is adapted, all of it at once."""
        all_in_use = self.limit == self.maximum
        self.maximum = maximum
        if all_in_use or self.limit > maximum:
            self._change(maximum, "limit changed")

    def used(self, in_flight: int) -> None:
        """So many are in flight."""
        if in_flight > self._peak:
            self._peak = in_flight

    def answered(self, seconds: float, now: float) -> None:
        """An answer came after `seconds`. A round is as many of them as may be in flight."""
        self._answers += 1
        self._seconds += seconds
        if self._answers >= self.limit:
            self._end_round(now)

    def rate_limited(self, retry_after: float, now: float) -> None:
        """A 429. All that come before the server's own wait is over belong to one episode."""
        if now >= self._episode_until:
            self._episode_until = now + max(EPISODE_SECONDS, retry_after)
            self._decrease("rate limited")
        self._growth_from = max(self._growth_from, self._episode_until)

    def troubled(self, now: float) -> None:
        """A 5xx, a timeout or a broken connection."""
        self._growth_from = max(self._growth_from, now + EPISODE_SECONDS)

    def told_to_slow_down(self, now: float) -> None:
        if now >= self._episode_until:
            self._episode_until = now + EPISODE_SECONDS
            self._decrease("told to slow down")
        self._growth_from = max(self._growth_from, now + SLOW_DOWN_SECONDS)

    def _begin_round(self) -> None:
        self._peak = self._answers = 0
        self._seconds = 0.0

    def _end_round(self, now: float) -> None:
        mean = self._seconds / self._answers
        self._best_seconds = min(self._best_seconds * BEST_GROWS, mean)
        slower = mean > max(QUICK_SECONDS, SLOWER_AT_MOST * self._best_seconds)
        saturated = self._peak >= SATURATED_SHARE * self.limit
        self._begin_round()
        if self.limit == self.maximum or not saturated or now < self._growth_from:
            return
        if slower:
            self._slow_start = False
            return
        step = self.limit if self._slow_start else max(1, int(INCREASE * self.limit))
        self._change(min(self.maximum, self.limit + step), "all in use")

    def _decrease(self, reason: str) -> None:
        self._slow_start = False
        self._begin_round()
        self._change(max(1, int(DECREASE * self.limit)), reason)

    def _change(self, limit: int, reason: str) -> None:
        if limit != self.limit:
            log.info("Requests in flight at most: %d instead of %d (%s).", limit, self.limit, reason)
            self.limit = limit
