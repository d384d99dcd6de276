"""The account's limits as each provider enforces them. Pure state machines that are told the time.

OpenAI refills continuously: its reset headers say `6m0s` or `17ms`, never the end of a minute. Azure counts and starts
again ("a running token count that is reset each minute"; requests also over 10 s or 1 s), so that 600 requests a minute
may mean at most 100 in ten seconds. Both reject by an estimate made at admission, not by the tokens billed later.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

Provider = Literal["openai", "azure"]
LimitKind = Literal["requests", "tokens"]

MINUTE = 60.0
CHARACTERS_PER_TOKEN = 4
"""Both providers estimate text from its length; neither says how."""
# Float dust of thousands of refills must not turn a request that just fits away.
DUST = 1e-6


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit as the response headers show it."""

    limit: int
    remaining: int
    reset_seconds: float


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a request was turned away."""

    kind: LimitKind
    limit: int
    used: int
    requested: int
    wait_seconds: float
    """Infinite: the request is larger than the limit and will never fit."""


class Meter(Protocol):
    """One limit over one window. A cost above the window's share fits once the window is unused."""

    def used(self, now: float) -> float: ...

    def wait(self, now: float, cost: float) -> float:
        """Seconds until `cost` fits; 0 when it fits now."""
        ...

    def left(self, now: float) -> float:
        """What may still be taken; below 0 after a cost above the window's share."""
        ...

    def take(self, now: float, cost: float) -> None: ...

    def reset(self, now: float) -> float:
        """Seconds until nothing counts as used, if nothing more comes."""
        ...


class Bucket:
    """Refills continuously; holds what one window allows."""

    def __init__(self, per_minute: float, window: float) -> None:
        self._rate = per_minute / MINUTE
        self._capacity = max(1.0, self._rate * window)
        self._level = self._capacity
        self._at = -math.inf

    def used(self, now: float) -> float:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._capacity - self._level

    def wait(self, now: float, cost: float) -> float:
        missing = min(cost, self._capacity) - self.left(now)
        return missing / self._rate if missing > DUST else 0.0

    def left(self, now: float) -> float:
        return self._capacity - self.used(now)

    def take(self, now: float, cost: float) -> None:
        self.used(now)
        self._level -= cost

    def reset(self, now: float) -> float:
        return self.used(now) / self._rate


class Counter:
    """Counts up, and starts again at the end of each window."""

    def __init__(self, per_minute: float, window: float) -> None:
        # A small limit still lets one request through in a short window; the minute keeps the sum right.
        self._capacity = math.ceil(per_minute * window / MINUTE)
        self._window = window
        self._index = -math.inf
        self._used = 0.0

    def used(self, now: float) -> float:
        index = now // self._window
        if index != self._index:
            self._index, self._used = index, 0.0
        return self._used

    def wait(self, now: float, cost: float) -> float:
        fits = self.used(now) + min(cost, self._capacity) <= self._capacity
        return 0.0 if fits else self.reset(now)

    def left(self, now: float) -> float:
        return self._capacity - self.used(now)

    def take(self, now: float, cost: float) -> None:
        self._used = self.used(now) + cost

    def reset(self, now: float) -> float:
        return self._window - now % self._window if self.used(now) else 0.0


class Limit:
    """Requests or tokens per minute, and the same over a shorter window where the provider enforces one."""

    def __init__(self, provider: Provider, kind: LimitKind, per_minute: float, window: float) -> None:
        meter: type[Bucket | Counter] = Bucket if provider == "openai" else Counter
        self.kind = kind
        self.per_minute = per_minute
        self.shown = math.ceil(per_minute)
        self._meters: list[Meter] = [meter(per_minute, seconds) for seconds in sorted({MINUTE, window}, reverse=True)]

    def check(self, now: float, cost: int) -> Denied | None:
        waits = [meter.wait(now, cost) for meter in self._meters]
        wait = math.inf if cost > self.per_minute else max(waits)
        if not wait:
            return None
        return Denied(self.kind, self.shown, round(self._meters[0].used(now)), cost, wait)

    def take(self, now: float, cost: int) -> None:
        for meter in self._meters:
            meter.take(now, cost)

    def waste(self, now: float) -> None:
        """Take what there is of one request, for one that was turned away."""
        for meter in self._meters:
            meter.take(now, min(1.0, meter.left(now)))

    def standing(self, now: float) -> Standing:
        """As the headers say it: always of the minute, even where a shorter window is what turns requests away."""
        minute = self._meters[0]
        return Standing(self.shown, max(0, math.floor(self.per_minute - minute.used(now))), minute.reset(now))


class Limits:
    """All limits of one model or deployment."""

    def __init__(
        self, provider: Provider, rpm: float | None, tpm: float | None, request_window: float, token_window: float
    ) -> None:
        self._requests = Limit(provider, "requests", rpm, request_window) if rpm else None
        self._tokens = Limit(provider, "tokens", tpm, token_window) if tpm else None
        self._refusals_count = provider == "openai"

    def admit(self, now: float, tokens: int) -> Denied | None:
        """Count a request of `tokens` by `admission_tokens`, or say why not.

        At OpenAI a denied request counts as a request too, "so continuously resending a request won't work" (rate
        limit guide); at Azure it counts nothing.
        """
        wanted = [(limit, cost) for limit, cost in ((self._requests, 1), (self._tokens, tokens)) if limit]
        for limit, cost in wanted:
            if limit.check(now, cost):
                if self._requests and self._refusals_count:
                    self._requests.waste(now)
                return limit.check(now, cost)
        for limit, cost in wanted:
            limit.take(now, cost)
        return None

    def standings(self, now: float) -> dict[LimitKind, Standing]:
        return {limit.kind: limit.standing(now) for limit in (self._requests, self._tokens) if limit}


def admission_tokens(provider: Provider, characters: int, image_tokens: int, max_tokens: int | None) -> int:
    """What a request costs when it is admitted; not what is billed, and not given back.

    Azure: prompt estimate plus max_tokens (how-to/quota). OpenAI: the larger of both (rate-limits guide).
    """
    prompt = math.ceil(characters / CHARACTERS_PER_TOKEN) + image_tokens
    if provider == "azure":
        return prompt + (max_tokens or 0)
    return max(prompt, max_tokens or 0)
