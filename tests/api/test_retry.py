import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.options import HIGHEST_COUNT, LimitOptions
from pipeline.api.pool.health import Outage
from pipeline.api.retry import (
    BASE_SECONDS,
    CAP_SECONDS,
    PROBE_CAP_SECONDS,
    SILENT_CAP_SECONDS,
    UNCOUNTED_REASONS,
    Correct,
    Decision,
    GiveUp,
    Pause,
    Rest,
    SendBytes,
    Shrink,
    Situation,
    Wait,
    decide,
)
from pipeline.items import Failure

LIMITS = LimitOptions(max_attempts=6, patience_seconds=600)
RENAME = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."


def after(failure: Failure, seed: int = 0, **now: Any) -> Decision:
    return decide(failure, Situation(**now), LIMITS, random.Random(seed))


@dataclass(frozen=True)
class Hopeless:
    """A rest that nothing but somebody's help ends."""


@pytest.mark.parametrize(
    ("failure", "now", "expected"),
    [
        (Failure("timeout", "x"), {}, Wait),
        (Failure("timeout", "x"), {"counted": 5}, Wait),
        (Failure("timeout", "x"), {"counted": 6}, GiveUp),
        (Failure("server_error", "x"), {"counted": 5, "seconds": 9999}, Wait),
        (Failure("server_error", "x"), {"counted": 6}, GiveUp),
        (Failure("server_error", "x", retry_after=601), {}, Hopeless),
        (Failure("server_error", "x", retry_after=600), {}, Wait),
        (Failure("rate_limited", "x"), {"tries": 99, "seconds": 99_999}, Pause),
        (Failure("rate_limited", "x", retry_after=600), {}, Pause),
        (Failure("rate_limited", "x", retry_after=86_400), {}, Hopeless),
        (Failure("unreachable", "x"), {"endpoint_seconds": 599}, Rest),
        (Failure("unreachable", "x"), {"tries": 99}, Rest),
        (Failure("unreachable", "x"), {"endpoint_seconds": 600}, Hopeless),
        (Failure("unreachable", "x"), {"outage": Outage(600, certain=True)}, Hopeless),
        (Failure("quota_exhausted", "x"), {}, Hopeless),
        (Failure("quota_exhausted", "x", retry_after=1), {}, Hopeless),
        (Failure("credentials_refused", "x"), {}, Hopeless),
        (Failure("not_found", "x"), {}, Hopeless),
        (Failure("not_found", "x", code="deploymentnotfound"), {}, Rest),
        (Failure("not_found", "x", code="deploymentnotfound"), {"endpoint_seconds": 30}, Hopeless),
        (Failure("not_found", "x", code="model_not_found"), {}, Hopeless),
        (Failure("wrong_address", "x"), {}, Hopeless),
        (Failure("rejected:400", "x"), {}, GiveUp),
        (Failure("rejected:400", "x", retry_after=9999), {}, GiveUp),
        (Failure("rejected:exceeds_tpm", "x"), {}, GiveUp),
        (Failure("filtered:violence", "x", "filtered"), {}, GiveUp),
        (Failure("rejected:too_large", "x", http_status=413), {}, Shrink),
        (Failure("rejected:context_length_exceeded", "x", http_status=400), {}, Shrink),
        (Failure("rejected:string_above_max_length", "x", http_status=400), {}, Shrink),
        (Failure("rejected:image_too_large", "x", http_status=400), {}, Shrink),
        (Failure("rejected:400", "The image is too large: 21 MB.", http_status=400), {}, Shrink),
        (Failure("rejected:400", "Your image file exceeds 20 MB.", http_status=400), {}, Shrink),
        (Failure("rejected:400", "Its max_tokens is too large for an image.", http_status=400), {}, GiveUp),
    ],
)
def test_decisions(failure: Failure, now: dict[str, Any], expected: type) -> None:
    decision = after(failure, **now)
    hopeless = isinstance(decision, Rest) and decision.hopeless is not None
    assert (Hopeless if hopeless else type(decision)) is expected


REASONING = (
    "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported."
)
OLDER = "Unrecognized request argument supplied: max_completion_tokens"
VALIDATOR = "body.messages.1.content.1.image_url.detail: Extra inputs are not permitted"


@pytest.mark.parametrize(
    ("message", "code", "param", "status", "parameter"),
    [
        (RENAME, "unsupported_parameter", "max_tokens", 400, "max_tokens"),
        (RENAME, None, None, 422, "max_tokens"),
        (OLDER, None, None, 400, "max_tokens"),
        (REASONING, "unsupported_value", "temperature", 400, "temperature"),
        ("This model does not take it.", "unsupported_parameter", "temperature", 400, "temperature"),
        (VALIDATOR, None, None, 422, "detail"),
        ("Unknown parameter: 'messages[0].content[1].image_url.detail'.", "unknown_parameter", None, 400, "detail"),
        ("The file is not supported; see the manual for more detail.", None, None, 400, None),
        ("max_tokens is too large: 5000. This model supports at most 4096.", "invalid_value", "max_tokens", 400, None),
        (RENAME, None, None, 500, None),
        ("Unsupported parameter: 'seed'.", "unsupported_parameter", "seed", 400, None),
    ],
)
def test_a_refused_parameter_is_recognised(
    message: str, code: str | None, param: str | None, status: int, parameter: str | None
) -> None:
    decision = after(Failure(f"rejected:{code or status}", message, http_status=status, code=code, param=param))
    assert decision == (GiveUp() if parameter is None else Correct(parameter))  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", ["timeout", "server_error"])
def test_an_outage_is_waited_out_and_blames_no_image(reason: str) -> None:
    for seconds in (0.0, 20.0, 599.0):
        decision = after(Failure(reason, "x"), tries=99, counted=99, outage=Outage(seconds, certain=True))
        assert isinstance(decision, Rest)
        assert decision.hopeless is None
        assert 0 < decision.seconds <= min(max(seconds, 0.1), PROBE_CAP_SECONDS)
        assert decision.image_seconds <= SILENT_CAP_SECONDS
    decision = after(Failure(reason, "x"), outage=Outage(600.0, certain=True))
    assert isinstance(decision, Rest)
    assert decision.hopeless
    assert "nothing but errors for 600 s" in decision.hopeless


def test_a_few_images_that_nothing_helps_end_as_rows_unless_somebody_else_may_help() -> None:
    failure = Failure("server_error", "x")
    assert isinstance(after(failure, outage=Outage(599.0, certain=False)), Rest)
    assert isinstance(after(failure, outage=Outage(600.0, certain=False)), GiveUp)
    assert isinstance(after(failure, outage=Outage(600.0, certain=False), others=True), Rest)


def test_what_is_no_fault_of_the_image_uses_up_no_attempt() -> None:
    assert {"rate_limited", "unreachable"} == UNCOUNTED_REASONS


@pytest.mark.parametrize(
    ("failure", "seconds", "words"),
    [
        (Failure("quota_exhausted", "No money."), 0, ["quota", "run again", "No money."]),
        (Failure("credentials_refused", "Bad key."), 0, ["credentials", "check the key", "Bad key."]),
        (Failure("not_found", "No such model."), 0, ["does not know", "No such model."]),
        (Failure("wrong_address", "HTTP 301."), 0, ["address", "HTTP 301."]),
        (Failure("unreachable", "Refused."), 612.4, ["612 s", "Refused."]),
        (Failure("rate_limited", "Too fast.", retry_after=7200), 0, ["120 minutes", "run again", "Too fast."]),
    ],
)
def test_what_is_hopeless_says_what_is_wrong_and_what_to_do(failure: Failure, seconds: float, words: list[str]) -> None:
    decision = after(failure, endpoint_seconds=seconds)
    assert isinstance(decision, Rest)
    assert decision.hopeless
    for word in words:
        assert word in decision.hopeless


@given(st.integers(1, 10_000), st.integers())
def test_backoff_is_exponential_with_full_jitter(attempt: int, seed: int) -> None:
    limits = LimitOptions(max_attempts=HIGHEST_COUNT)
    decision = decide(Failure("server_error", "x"), Situation(counted=attempt), limits, random.Random(seed))
    assert isinstance(decision, Wait)
    assert 0 <= decision.seconds <= min(CAP_SECONDS, BASE_SECONDS * 2**attempt if attempt < 20 else CAP_SECONDS)


def test_full_jitter_uses_the_whole_range() -> None:
    waits = [after(Failure("server_error", "x"), counted=3, seed=seed) for seed in range(200)]
    seconds = [wait.seconds for wait in waits if isinstance(wait, Wait)]
    assert min(seconds) < 0.1 * BASE_SECONDS * 8
    assert max(seconds) > 0.9 * BASE_SECONDS * 8


@given(st.sampled_from(["rate_limited", "server_error", "timeout"]), st.floats(0.001, 600), st.integers())
def test_a_hint_is_kept_and_hardly_exceeded(reason: str, hint: float, seed: int) -> None:
    decision = after(Failure(reason, "x", retry_after=hint), seed=seed)
    assert isinstance(decision, Wait | Pause)
    assert hint <= decision.seconds <= hint + min(1.0, 0.05 + 0.1 * hint)


@given(st.none() | st.just(0.0), st.floats(0, 1e6), st.integers())
def test_without_a_hint_a_rate_limit_is_waited_out_for_as_long_again(
    hint: float | None, lasting: float, seed: int
) -> None:
    decision = after(Failure("rate_limited", "x", retry_after=hint), seconds=lasting, seed=seed)
    assert isinstance(decision, Pause)
    assert 0.5 <= decision.seconds <= SILENT_CAP_SECONDS
    assert decision.seconds <= max(lasting, 1.0)


@pytest.mark.parametrize(
    ("failure", "by_url", "sent"),
    [
        (Failure("server_error", "Timeout while downloading.", code="invalid_image_url", http_status=400), True, True),
        (Failure("rejected:invalid_image_url", "Bad.", code="invalid_image_url", http_status=400), True, True),
        (Failure("rejected:invalid_value", "Only data URLs.", http_status=400), True, True),
        (Failure("rejected:invalid_image_url", "Bad.", code="invalid_image_url", http_status=400), False, False),
        (Failure("server_error", "Overloaded.", http_status=503), True, False),
        (Failure("filtered:violence", "No.", "filtered", http_status=400), True, False),
    ],
)
def test_an_address_that_the_server_does_not_take_is_replaced_by_the_image(
    failure: Failure, by_url: bool, sent: bool
) -> None:
    decision = decide(failure, Situation(by_url=by_url), LIMITS, random.Random(0))
    assert isinstance(decision, SendBytes) is sent
