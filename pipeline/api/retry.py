"""What to do after a failure: wait and ask again, give the image up, correct the request, or stop the run. Pure.

Rate limits and transient faults are different signals: a 429 is the account's trouble and uses up no attempt.
"""

import random
from dataclasses import dataclass

from pipeline.api.options import LimitOptions
from pipeline.items import Failure

BASE_SECONDS = 0.5
CAP_SECONDS = 60.0
# What a row may carry although a later run shall ask again.
TRANSIENT_REASONS = frozenset({"timeout", "server_error", "rate_limited"})


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The failure becomes the image's row."""


@dataclass(frozen=True, slots=True)
class RenameMaxTokens:
    """The model wants `max_completion_tokens`: correct the request and ask again at once."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Trouble of the whole run, in one sentence."""

    message: str


Decision = Wait | GiveUp | RenameMaxTokens | Stop


def decide(failure: Failure, attempt: int, elapsed: float, limits: LimitOptions, rng: random.Random) -> Decision:
    """What follows `failure`, the `attempt`-th counted try of an image first asked `elapsed` seconds ago."""
    hint = failure.retry_after
    if hint is not None and hint > limits.patience_seconds and failure.reason in TRANSIENT_REASONS:
        return Stop(f"The endpoint asks to wait {hint / 60:.0f} minutes; run again then to continue: {failure.message}")
    match failure.reason:
        case "quota_exhausted":
            return Stop(f"The account's quota is used up: {failure.message} Run again after topping up to continue.")
        case "credentials_refused":
            return Stop(f"The endpoint refused the credentials: {failure.message} Check the key.")
        case "not_found":
            return Stop(f"The endpoint does not know the model or address: {failure.message}")
        case "unreachable" if elapsed >= limits.patience_seconds:
            return Stop(f"The endpoint could not be reached for {elapsed:.0f} s: {failure.message}")
        case "unreachable" | "rate_limited":
            # Without a hint, wait about as long again as it has lasted.
            return Wait(_after_hint(hint, rng) if hint is not None else rng.uniform(0.5, 1.0) * min(max(elapsed, 1.0), 30.0))
        case "timeout" | "server_error" if attempt < limits.max_attempts:
            return Wait(_after_hint(hint, rng) if hint is not None else _backoff(attempt, rng))
    if "max_completion_tokens" in failure.message and attempt == 1:
        return RenameMaxTokens()
    return GiveUp()


def _after_hint(hint: float, rng: random.Random) -> float:
    """The server's wish, and a little more so that not everybody comes back in the same moment."""
    return hint + rng.uniform(0, min(1.0, 0.05 + 0.1 * hint))


def _backoff(attempt: int, rng: random.Random) -> float:
    """Exponential with full jitter."""
    return rng.uniform(0, min(CAP_SECONDS, BASE_SECONDS * 2**attempt))
