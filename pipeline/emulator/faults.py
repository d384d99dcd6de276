"""Faults to order: what goes wrong, and for which request. Pure; knows no wire form.

Chance is a hash of the seed, the question and the attempt, not a stream of random numbers: the same question meets the
same fate on the same attempt in whatever order requests arrive, so a run of concurrent requests can be repeated.
"""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.errors import UserError

LASTING = {
    "content_filter": "400, the prompt was blocked by the content filter",
    "answer_filtered": "an answer cut short by the content filter (finish_reason content_filter)",
    "refusal": "message.refusal instead of an answer",
    "apology": "a refusal written as an ordinary answer",
    "invalid_image": "400 invalid_image_format",
}
"""Depend on the image alone: asking again changes nothing."""

PASSING = {
    "rate_limit": "429 with Retry-After",
    "blind_rate_limit": "429 without a word about when to come back",
    "high_demand": "429, the service lacks capacity",
    "insufficient_quota": "429, the account has no money left",
    "credit_balance_exhausted": "429, the same in its newer form",
    "organization_spend_limit_exceeded": "429, the account's own limit",
    "project_spend_limit_exceeded": "429, the project's",
    "organization_usage_limit_exceeded": "429, the limit that the provider has set the account",
    "unauthorized": "401",
    "forbidden": "403",
    "model_not_found": "404",
    "deployment_not_found": "404",
    "context_length": "400 context_length_exceeded",
    "string_too_long": "400 string_above_max_length",
    "image_url_timeout": "400 invalid_image_url",
    "request_timeout": "408",
    "too_large": "413 from a gateway, not JSON",
    "server_error": "500",
    "bad_gateway": "502 from a gateway, not JSON",
    "overloaded": "503",
    "slow_down": "503, go back to the old rate",
    "gateway_timeout": "504 from a gateway, not JSON",
    "site_overloaded": "529",
    "cut": "the connection is cut before the answer",
    "cut_body": "the connection is cut in the middle of the answer",
    "hang": "no answer ever comes",
    "slow_body": "the answer's bytes trickle in",
    "invalid_json": "200 with half a JSON document",
    "html": "200 with a web page",
    "empty_choices": "200 with no choices",
    "empty_answer": "200 with an empty answer",
    "wrong_content_type": "a good answer that calls itself text/plain",
    "missing_usage": "200 without usage",
    "answer_not_json": "of an answer that was to be JSON, half",
    "schema_mismatch": "JSON that does not fit the schema it was asked for by",
    "entry_missing": "of several answers in one, one is missing",
    "entry_twice": "one of them comes twice",
    "entries_shuffled": "they are in another order than the images",
    "entry_too_many": "there is one more than images",
}
"""Depend on the attempt too: asking again may help."""

FAULTS: Mapping[str, str] = LASTING | PASSING
"""Every fault that can be ordered, with what it does."""

SPOILING = frozenset(("cut", "cut_body", "hang", "invalid_json", "html", "empty_choices", "empty_answer"))
"""Answers that were made, and would be billed, but are of no use to the client."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a scenario. All conditions that are given must hold; the first step that fits decides."""

    fault: str
    endpoint: str | None = None
    """Only requests to the endpoint of this name; None: to any."""
    requests: tuple[int, int] | None = None
    """First and last request, counted from 1 in order of arrival at their endpoint."""
    seconds: tuple[float, float] | None = None
    """From and until, since the first request to any endpoint."""
    image: str | None = None
    """The beginning of `Picture.digest`, which captions show too."""
    attempts: int | None = None
    """At most so many times for each question: 1 fails every question once."""
    rate: float = 1.0
    """Share of the requests that fit."""
    retry_after: float | None = None
    """Seconds that the answer asks to wait, where the fault can say so."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What chance may depend on."""

    number: int
    """1 for the first request to its endpoint."""
    seconds: float
    """Since the first request to any endpoint."""
    question: str
    """Digest of the whole question."""
    images: tuple[str, ...]
    attempt: int
    """1 when the question is new."""
    endpoint: str = ""


def decide(steps: Iterable[Step], rates: Mapping[str, float], seed: int, arrival: Arrival) -> Step | None:
    """The fault for this request: the first scenario step that fits, else one by the rates."""
    for index, step in enumerate(steps):
        if _fits(step, arrival) and chance(seed, "step", index, arrival.question, arrival.attempt) < step.rate:
            return step
    lasting = {name: rate for name, rate in rates.items() if name in LASTING}
    passing = {name: rate for name, rate in rates.items() if name not in LASTING}
    name = None
    if lasting:
        fates = (_draw(lasting, chance(seed, "lasting", image)) for image in arrival.images or ("",))
        name = next(filter(None, fates), None)
    if name is None and passing:
        name = _draw(passing, chance(seed, "passing", arrival.question, arrival.attempt))
    return Step(name) if name else None


def chance(seed: int, *about: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    text = "\0".join(map(str, (seed, *about)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48


def check_fault(name: str, where: str) -> None:
    """Raise UserError unless `name` can be ordered."""
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(FAULTS)}."
        raise UserError(f"Unknown fault {name!r} in {where}; {hint}")


def _fits(step: Step, arrival: Arrival) -> bool:
    return (
        (step.endpoint is None or step.endpoint == arrival.endpoint)
        and (step.requests is None or step.requests[0] <= arrival.number <= step.requests[1])
        and (step.seconds is None or step.seconds[0] <= arrival.seconds < step.seconds[1])
        and (step.image is None or any(image.startswith(step.image) for image in arrival.images))
        and (step.attempts is None or arrival.attempt <= step.attempts)
    )


def _draw(rates: Mapping[str, float], number: float) -> str | None:
    for name, rate in rates.items():
        number -= rate
        if number < 0:
            return name
    return None
