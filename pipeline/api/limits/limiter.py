"""All limits of one endpoint together, as a state machine over time stamps: no method waits."""

import logging
from dataclasses import dataclass
from typing import Literal

from pipeline.api.limits.adaptive import START, AdaptiveConcurrency
from pipeline.api.limits.quota import Quota, is_per_minute
from pipeline.api.limits.rules import MINUTE_SECONDS, LimitRules
from pipeline.api.limits.windows import Charge
from pipeline.api.options import LimitOptions
from pipeline.api.reading.headers import RateHeaders, Standing

log = logging.getLogger(__name__)

# Who would wait less than this leaves at once: timers are no finer (uvloop counts in it). Far below a window's margin.
LEEWAY_SECONDS = 0.001
# After a pause, as many as may be in flight leave one after the other over so long.
RAMP_SECONDS = 2.0
# A server without rate headers that says "after 0.1 s" means one request: coming back with all of them is refused again
# (measured in virtual time: 20 % of all requests refused without this, 1 % with it, and no quota lost).
BLIND_PAUSE_SECONDS = 2.0

Verdict = Literal["answered", "rate_limited", "troubled", "slow_down"]
Kind = Literal["requests", "tokens"]


@dataclass(frozen=True, slots=True)
class LimitUse:
    """What limits an endpoint, and how much of it was used."""

    rpm: float | None
    """Requests per minute, given or learned; None: no limit is known."""
    tpm: float | None
    concurrency: int
    """Requests that may be in flight."""
    rpm_used: float | None
    """Share of the requests that were allowed from the first to the last one, pauses included; None: unknown."""
    tpm_used: float | None


@dataclass(slots=True, eq=False)
class Admission:
    """A request that may leave. Its owner says how it went before it is settled."""

    tokens: int
    at: float
    request_charge: Charge | None = None
    token_charge: Charge | None = None
    used_tokens: int | None = None
    """As the reply's usage says; None: it did not."""
    rates: RateHeaders | None = None
    verdict: Verdict | None = None
    """What it says about the endpoint; None: nothing, as a request that was refused for what it asked."""


class Limiter:
    """When the next request may leave."""

    def __init__(self, limits: LimitOptions, rules: LimitRules, now: float) -> None:
        self.in_flight = 0
        self.requests = Quota(limits.rpm, rules.request_windows, now, given=True) if limits.rpm else None
        self.tokens = Quota(limits.tpm, rules.token_windows, now, given=True) if limits.tpm else None
        self._limits = limits
        self._rules = rules
        # Where the user has said how fast, pace and windows decide from the start.
        start = None if limits.rpm or limits.tpm else START
        self.concurrency = AdaptiveConcurrency(limits.most_in_flight, start=start, now=now)
        self.paused_until = now
        self._ramp_until = now
        self._ramp_next = now

    def set_limits(self, limits: LimitOptions, now: float) -> None:
        """The user changed limits while requests are under way: what was taken stays taken.

        A limit that is withdrawn is learned from the server's headers again, as if it had never been given.
        """
        before, self._limits = self._limits, limits
        if limits.rpm != before.rpm:
            self.requests = _changed(self.requests, limits.rpm, self._rules.request_windows, now)
        if limits.tpm != before.tpm:
            self.tokens = _changed(self.tokens, limits.tpm, self._rules.token_windows, now)
        if limits.concurrency != before.concurrency:
            self.concurrency.set_maximum(limits.most_in_flight)

    @property
    def use(self) -> LimitUse:
        """The limits that hold now, and what was made of them."""
        requests, tokens = self.requests, self.tokens
        return LimitUse(
            requests.per_minute if requests else None,
            tokens.per_minute if tokens else None,
            self.concurrency.limit,
            requests.utilisation if requests else None,
            tokens.utilisation if tokens else None,
        )

    def wait_seconds(self, tokens: int, now: float) -> float | None:
        """Seconds until a request of `tokens` may leave; 0 means now, None means when another one has ended."""
        if self.in_flight >= self.concurrency.limit:
            return None
        wait = self.paused_until - now
        if now < self._ramp_until:
            wait = max(wait, self._ramp_next - now)
        if self.requests:
            wait = max(wait, self.requests.wait_seconds(1, now))
        if self.tokens:
            wait = max(wait, self.tokens.wait_seconds(tokens, now))
        return wait if wait > LEEWAY_SECONDS else 0.0

    def admit(self, tokens: int, now: float) -> Admission:
        """A request leaves."""
        self.in_flight += 1
        self.concurrency.used(self.in_flight)
        if now < self._ramp_until:
            self._ramp_next = max(self._ramp_next, now) + RAMP_SECONDS / self.concurrency.limit
        admission = Admission(tokens, now)
        if self.requests:
            admission.request_charge = self.requests.take(1, now)
        if self.tokens:
            admission.token_charge = self.tokens.take(tokens, now)
        return admission

    def settle(self, admission: Admission, now: float) -> None:
        """A request ended."""
        self.in_flight -= 1
        match admission.verdict:
            case "answered":
                self.concurrency.answered(now - admission.at, now)
            case "rate_limited":
                self.concurrency.rate_limited(self.paused_until - now, now)
            case "troubled":
                self.concurrency.troubled(now)
            case "slow_down":
                self.concurrency.told_to_slow_down(now)
        rates = admission.rates
        if rates:
            if rates.requests:
                self._hear("requests", rates.requests, admission, now)
            if rates.tokens:
                self._hear("tokens", rates.tokens, admission, now)
        if self._rules.counting == "usage" and admission.used_tokens is not None:
            self._correct(admission, admission.used_tokens, now)

    def withdraw(self, admission: Admission) -> None:
        """An admitted request was never sent."""
        self.in_flight -= 1
        if self.requests and admission.request_charge:
            self.requests.give_back(admission.request_charge, 1)
        if self.tokens and admission.token_charge:
            self.tokens.give_back(admission.token_charge, admission.tokens)

    def pause(self, seconds: float, now: float) -> None:
        """Let nothing leave for so long, and not all at once then.

        Also after a 429 about tokens alone: every image costs tokens, and the line keeps its order.
        """
        blind = self.requests is None and self.tokens is None
        until = now + (max(seconds, BLIND_PAUSE_SECONDS) if blind else seconds)
        if until > self.paused_until:
            self.paused_until = self._ramp_next = until
            self._ramp_until = until + RAMP_SECONDS

    def _correct(self, admission: Admission, used: int, now: float) -> None:
        charge = admission.token_charge
        if self.tokens and charge:
            if used <= admission.tokens:
                self.tokens.give_back(charge, admission.tokens - used)
            else:
                self.tokens.take(used - admission.tokens, now)

    def _hear(self, kind: Kind, standing: Standing, admission: Admission, now: float) -> None:
        if standing.limit is None or not is_per_minute(standing, self._rules.refills):
            return
        if kind == "tokens" and standing.limit < admission.tokens:
            return  # it answered what it says that it would not: no true limit
        quota = self.requests if kind == "requests" else self.tokens
        charge = admission.request_charge if kind == "requests" else admission.token_charge
        if quota is None:
            self._learn(kind, standing, admission, now)
            return
        if self._is_news(quota, standing.limit):
            log.info("The endpoint allows %g %s per minute, not %g.", standing.limit, kind, quota.per_minute)
            quota.set_limit(standing.limit, now)
        if charge:
            quota.hear(charge, standing, self._rules.refills)

    def _is_news(self, quota: Quota, limit: float) -> bool:
        """A limit that the user set is only ever lowered, and not by that of a shorter window."""
        if not quota.given:
            return limit != quota.per_minute
        shares = (window.seconds / MINUTE_SECONDS for window in quota.windows[1:])
        return limit < quota.per_minute and not any(abs(limit - share * quota.per_minute) < 1 for share in shares)

    def _learn(self, kind: Kind, standing: Standing, admission: Admission, now: float) -> None:
        assert standing.limit is not None
        log.info("The endpoint allows %g %s per minute, as its headers say.", standing.limit, kind)
        windows = self._rules.request_windows if kind == "requests" else self._rules.token_windows
        quota = Quota(standing.limit, windows, now, given=False)
        used = 0 if standing.remaining is None else int(standing.limit - standing.remaining)
        reset = MINUTE_SECONDS if standing.reset_seconds is None else standing.reset_seconds
        each = 1 if kind == "requests" else self._tokens_of(admission)
        quota.seed(used, admission.at + reset, self.in_flight * each, now)
        if kind == "requests":
            self.requests = quota
        else:
            self.tokens = quota

    def _tokens_of(self, admission: Admission) -> int:
        """What a request counts for in the end."""
        used = admission.used_tokens if self._rules.counting == "usage" else None
        return admission.tokens if used is None else used


def _changed(quota: Quota | None, per_minute: float | None, windows: tuple[float, ...], now: float) -> Quota | None:
    """The quota with the limit that the user gives now."""
    if per_minute is None:
        return None
    if quota is None:
        return Quota(per_minute, windows, now, given=True)
    quota.given = True
    quota.set_limit(per_minute, now)
    return quota
