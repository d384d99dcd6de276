"""What to do after a failure: wait and ask again, give the image up, correct the request, or stop the run. Pure."""

import random
from dataclasses import dataclass

from pipeline.api.health import Outage
from pipeline.api.options import LimitOptions
from pipeline.items import Failure

BASE_SECONDS = 0.5
CAP_SECONDS = 60.0
# An endpoint that says nothing about when to come back is asked at least so often.
SILENT_CAP_SECONDS = 30.0
# Azure: a deployment "created within the last 5 minutes" may not be there yet; a mistyped one should be told soon.
NEW_DEPLOYMENT_SECONDS = 30.0
# Trouble of the account or of the network, not of the image: uses up none of its attempts.
UNCOUNTED_REASONS = frozenset({"rate_limited", "unreachable"})
FAULT_REASONS = frozenset({"timeout", "server_error"})
TRANSIENT_REASONS = FAULT_REASONS | UNCOUNTED_REASONS


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after `seconds`."""

    seconds: float
    everybody: bool = False
    """It concerns the account or the endpoint: nobody else need try before."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The failure becomes the image's row."""


@dataclass(frozen=True, slots=True)
class RenameMaxTokens:
    """The model wants the limit under its other name: correct the request and ask again at once."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Trouble of the whole run, in one sentence."""

    message: str


Decision = Wait | GiveUp | RenameMaxTokens | Stop


def decide(
    failure: Failure, attempt: int, lasting: float, outage: Outage | None, limits: LimitOptions, rng: random.Random
) -> Decision:
    """What follows `failure`.

    `attempt` is how many tries of the image count so far, this one included if it counts; `lasting` is for how many
    seconds the image has been failing for this same reason; `outage` is that of the endpoint, None when it is only this
    image's trouble.
    """
    hint = failure.retry_after or 0.0  # a server that answers "after 0 s" does not know either
    if message := _run_trouble(failure, lasting):
        return Stop(message)
    if failure.reason in TRANSIENT_REASONS and hint > limits.patience_seconds:
        return Stop(f"The endpoint asks to wait {hint / 60:.0f} minutes; run again then to continue: {failure.message}")
    if failure.reason in FAULT_REASONS:
        return _after_fault(failure, attempt, outage, limits, rng)
    match failure.reason:
        case "not_found":
            return Wait(NEW_DEPLOYMENT_SECONDS, everybody=True)
        case "unreachable" if lasting >= limits.patience_seconds:
            return Stop(f"The endpoint could not be reached for {lasting:.0f} s: {failure.message}")
        case "rate_limited":
            return Wait(_after_hint(hint, rng) if hint else _as_long_again(lasting, rng), everybody=True)
        case "unreachable":
            return Wait(_after_hint(hint, rng) if hint else _as_long_again(lasting, rng))
    if failure.http_status == 400 and "max_completion_tokens" in failure.message:
        return RenameMaxTokens()
    return GiveUp()


def _after_fault(
    failure: Failure, attempt: int, outage: Outage | None, limits: LimitOptions, rng: random.Random
) -> Decision:
    hint = failure.retry_after or 0.0
    if outage is not None:
        if outage.seconds < limits.patience_seconds:
            return Wait(_after_hint(hint, rng) if hint else _as_long_again(outage.seconds, rng))
        if not outage.certain:
            return GiveUp()
        return Stop(f"The endpoint has answered nothing but errors for {outage.seconds:.0f} s: {failure.message}")
    if attempt < limits.max_attempts:
        return Wait(_after_hint(hint, rng) if hint else _backoff(attempt, rng))
    return GiveUp()


def _run_trouble(failure: Failure, lasting: float) -> str | None:
    """What no later try will mend, in one sentence."""
    match failure.reason:
        case "quota_exhausted":
            return f"The account's quota is used up; run again after topping up to continue: {failure.message}"
        case "credentials_refused":
            return f"The endpoint refused the credentials; check the key: {failure.message}"
        case "not_found" if failure.code != "deploymentnotfound" or lasting >= NEW_DEPLOYMENT_SECONDS:
            return f"The endpoint does not know the model or address: {failure.message}"
        case "wrong_address":
            return f"The endpoint's address is not right: {failure.message}"
    return None


def _after_hint(hint: float, rng: random.Random) -> float:
    """The server's wish, and a little more so that not everybody comes back in the same moment."""
    return hint + rng.uniform(0, min(1.0, 0.05 + 0.1 * hint))


def _as_long_again(lasting: float, rng: random.Random) -> float:
    """About as long as it has lasted: soon after a hiccup, seldom in an outage."""
    return rng.uniform(0.5, 1.0) * min(max(lasting, 1.0), SILENT_CAP_SECONDS)


def _backoff(attempt: int, rng: random.Random) -> float:
    """Exponential with full jitter."""
    return rng.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2 ** min(attempt, 10)))
