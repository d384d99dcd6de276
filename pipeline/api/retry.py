"""What to do after a failure: wait, let the endpoint rest, change the request, or give the image up. Pure."""

import random
import re
from dataclasses import dataclass

from pipeline.api.entra.credential import NO_TOKEN
from pipeline.api.options import LimitOptions
from pipeline.api.payload import Parameter
from pipeline.api.pool.health import Outage
from pipeline.api.reading.failures import DOWNLOAD_CODES
from pipeline.items import Failure

BASE_SECONDS = 0.5
CAP_SECONDS = 60.0
# An endpoint that says nothing about when to come back is asked at least so often.
SILENT_CAP_SECONDS = 30.0
# A resting endpoint gets one request at a time: a dead one is not burdened, and one that is back is soon of use again.
PROBE_CAP_SECONDS = 5.0
PROBE_FLOOR_SECONDS = 0.1
# What needs somebody's help (a new key, a higher quota) is looked at seldom, and only while others answer.
HOPELESS_FLOOR_SECONDS = 60.0
HOPELESS_CAP_SECONDS = 600.0
# Azure: a deployment "created within the last 5 minutes" may not be there yet; a mistyped one should be told soon.
NEW_DEPLOYMENT_SECONDS = 30.0
# Trouble of the account or of the network, not of the image: uses up none of its attempts.
UNCOUNTED_REASONS = frozenset({"rate_limited", "unreachable"})
FAULT_REASONS = frozenset({"timeout", "server_error"})
TRANSIENT_REASONS = FAULT_REASONS | UNCOUNTED_REASONS
# No later try mends these.
SETUP_REASONS = frozenset({"quota_exhausted", "credentials_refused", "not_found", "wrong_address"})

TOO_LARGE_REASONS = frozenset(
    f"rejected:{code}"
    for code in ("too_large", "context_length_exceeded", "string_above_max_length", "image_too_large",
                 "image_file_too_large")
)  # fmt: skip
_TOO_LARGE = re.compile(r"\bimage\b.{0,80}(?:too (?:large|big)|exceeds)", re.I)
_REFUSED = re.compile(
    r"un(?:supported|recognized|known|expected)|not (?:supported|permitted|allowed)|does not support", re.I
)
_PARAMETERS: tuple[tuple[Parameter, re.Pattern[str]], ...] = (
    ("max_tokens", re.compile(r"\bmax_(?:completion_)?tokens\b")),
    ("temperature", re.compile(r"\btemperature\b")),
    ("detail", re.compile(r"image_url\W+detail\b|['\"`]detail['\"`]")),  # not the word
)
# Refused in many words: "is enabled only for api versions ...", "Invalid schema for response_format ..."; "must be ..."
_SHAPE = re.compile(r"\bresponse_format\b|\bjson_(?:schema|object)\b")


@dataclass(frozen=True, slots=True)
class Situation:
    """What else there is to know about a failure."""

    tries: int = 1
    """Of the image, this one included."""
    counted: int = 1
    """Those that use up its attempts."""
    seconds: float = 0.0
    """For how long the image has been failing for this reason."""
    endpoint_seconds: float = 0.0
    """For how long nothing else has come from the endpoint."""
    outage: Outage | None = None
    """Of the endpoint; None: it may be only this image's trouble."""
    others: bool = False
    """Another endpoint answers."""
    by_url: bool = False
    """The image was named by its address."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """The account's limit: nobody need ask this endpoint before `seconds` are over; then all may."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Rest:
    """The endpoint's trouble: leave it alone for `seconds`, then try it with one request."""

    seconds: float
    hopeless: str | None = None
    """Why it will not come back by itself, in one sentence. When no other endpoint is left either, the run stops."""
    image_seconds: float = 0.0
    """What the image waits, so that one which is itself the trouble does not stand first in the line for ever."""


@dataclass(frozen=True, slots=True)
class Correct:
    """The model refuses a parameter: ask again without it, or by its other name."""

    parameter: Parameter


@dataclass(frozen=True, slots=True)
class Shrink:
    """The image is too large for the model or a gateway: ask again with a smaller one."""


@dataclass(frozen=True, slots=True)
class SendBytes:
    """The model's server does not fetch the image from its address: ask again with the image itself."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The failure becomes the image's row."""


Decision = Wait | Pause | Rest | Correct | Shrink | SendBytes | GiveUp


def decide(failure: Failure, now: Situation, limits: LimitOptions, rng: random.Random) -> Decision:
    """What follows `failure`."""
    hint = failure.retry_after or 0.0  # a server that answers "after 0 s" does not know either
    if message := _hopeless(failure, now, limits):
        return Rest(hint or _seldom(now.endpoint_seconds, rng), message)
    if now.by_url and failure.code in DOWNLOAD_CODES:
        return SendBytes()
    match failure.reason:
        case "timeout" | "server_error":
            return _after_fault(failure, now, limits, rng)
        case "not_found":
            return Rest(NEW_DEPLOYMENT_SECONDS)
        case "rate_limited":
            return Pause(_after_hint(hint, rng) if hint else _as_long_again(now.seconds, rng))
        case "unreachable":
            return Rest(_after_hint(hint, rng) if hint else _soon(now.endpoint_seconds, rng))
    if failure.reason in TOO_LARGE_REASONS or (failure.http_status == 400 and _TOO_LARGE.search(failure.message)):
        return Shrink()
    if parameter := refused_parameter(failure):
        return Correct(parameter)
    # Servers that take no addresses at all say so in many ways; whether it is that, the bytes will tell.
    return SendBytes() if now.by_url and failure.reason.startswith("rejected:") else GiveUp()


def refused_parameter(failure: Failure) -> Parameter | None:
    """The parameter that the model does not know or does not take as it was sent."""
    if failure.http_status not in (400, 422):
        return None
    told = f"{failure.param} {failure.message}"
    if _SHAPE.search(told):
        return "response_format"
    if not _REFUSED.search(f"{failure.code} {failure.message}"):
        return None
    return next((parameter for parameter, name in _PARAMETERS if name.search(told)), None)


def _after_fault(failure: Failure, now: Situation, limits: LimitOptions, rng: random.Random) -> Decision:
    hint = failure.retry_after or 0.0
    if now.outage is not None:
        if now.outage.seconds >= limits.patience_seconds and not now.others:
            return GiveUp()  # not certain: only images may be left that the endpoint never answers
        rest = _after_hint(hint, rng) if hint else _soon(now.outage.seconds, rng)
        return Rest(rest, image_seconds=min(_backoff(now.tries, rng), SILENT_CAP_SECONDS))
    if now.counted < limits.max_attempts:
        return Wait(_after_hint(hint, rng) if hint else _backoff(now.counted, rng))
    return GiveUp()


def _hopeless(failure: Failure, now: Situation, limits: LimitOptions) -> str | None:
    """Why no later try will mend it, in one sentence."""
    patience, outage = limits.patience_seconds, now.outage
    match failure.reason:
        case "quota_exhausted":
            return f"The account's quota is used up; run again after topping up to continue: {failure.message}"
        case "credentials_refused" if failure.code == NO_TOKEN:
            return failure.message
        case "credentials_refused":
            return f"The endpoint refused the credentials; check the key: {failure.message}"
        case "not_found" if failure.code != "deploymentnotfound" or now.endpoint_seconds >= NEW_DEPLOYMENT_SECONDS:
            return f"The endpoint does not know the model or address: {failure.message}"
        case "wrong_address":
            return f"The endpoint's address is not right: {failure.message}"
    if failure.reason in TRANSIENT_REASONS and failure.retry_after and failure.retry_after > patience:
        minutes = failure.retry_after / 60
        return f"The endpoint asks to wait {minutes:.0f} minutes; run again then to continue: {failure.message}"
    unreachable_seconds = max(now.endpoint_seconds, outage.seconds if outage else 0.0)
    if failure.reason == "unreachable" and unreachable_seconds >= patience:
        return f"The endpoint could not be reached for {unreachable_seconds:.0f} s: {failure.message}"
    if failure.reason in FAULT_REASONS and outage and outage.certain and outage.seconds >= patience:
        return f"The endpoint has answered nothing but errors for {outage.seconds:.0f} s: {failure.message}"
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


def _soon(lasting: float, rng: random.Random) -> float:
    """About as long as it has lasted: a hiccup costs next to nothing, an outage is noticed to be over soon."""
    return rng.uniform(0.5, 1.0) * min(max(lasting, PROBE_FLOOR_SECONDS), PROBE_CAP_SECONDS)


def _seldom(lasting: float, rng: random.Random) -> float:
    return rng.uniform(0.5, 1.0) * min(max(lasting, HOPELESS_FLOOR_SECONDS), HOPELESS_CAP_SECONDS)
