import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.health import Outage
from pipeline.api.options import LimitOptions
from pipeline.api.retry import (
    BASE_SECONDS,
    CAP_SECONDS,
    SILENT_CAP_SECONDS,
    UNCOUNTED_REASONS,
    Decision,
    GiveUp,
    RenameMaxTokens,
    Stop,
    Wait,
    decide,
)
from pipeline.items import Failure

LIMITS = LimitOptions(max_attempts=6, patience_seconds=600)
RENAME = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."


def after(
    failure: Failure, attempt: int = 1, lasting: float = 0.0, seed: int = 0, outage: Outage | None = None
) -> Decision:
    return decide(failure, attempt, lasting, outage, LIMITS, random.Random(seed))


@pytest.mark.parametrize(
    ("failure", "attempt", "lasting", "decision"),
    [
        (Failure("timeout", "x"), 1, 0, Wait),
        (Failure("timeout", "x"), 5, 0, Wait),
        (Failure("timeout", "x"), 6, 0, GiveUp),
        (Failure("server_error", "x"), 5, 9999, Wait),
        (Failure("server_error", "x"), 6, 0, GiveUp),
        (Failure("server_error", "x", retry_after=601), 1, 0, Stop),
        (Failure("server_error", "x", retry_after=600), 1, 0, Wait),
        (Failure("rate_limited", "x"), 99, 99_999, Wait),
        (Failure("rate_limited", "x", retry_after=600), 1, 0, Wait),
        (Failure("rate_limited", "x", retry_after=86_400), 1, 0, Stop),
        (Failure("unreachable", "x"), 0, 599, Wait),
        (Failure("unreachable", "x"), 99, 0, Wait),
        (Failure("unreachable", "x"), 0, 600, Stop),
        (Failure("quota_exhausted", "x"), 1, 0, Stop),
        (Failure("quota_exhausted", "x", retry_after=1), 1, 0, Stop),
        (Failure("credentials_refused", "x"), 1, 0, Stop),
        (Failure("not_found", "x"), 1, 0, Stop),
        (Failure("not_found", "x", code="deploymentnotfound"), 1, 0, Wait),
        (Failure("not_found", "x", code="deploymentnotfound"), 2, 30, Stop),
        (Failure("not_found", "x", code="model_not_found"), 1, 0, Stop),
        (Failure("wrong_address", "x"), 1, 0, Stop),
        (Failure("rejected:400", "x"), 1, 0, GiveUp),
        (Failure("rejected:400", "x", retry_after=9999), 1, 0, GiveUp),
        (Failure("rejected:too_large", "x"), 1, 0, GiveUp),
        (Failure("rejected:exceeds_tpm", "x"), 1, 0, GiveUp),
        (Failure("filtered:violence", "x", "filtered"), 1, 0, GiveUp),
        (Failure("rejected:unsupported_parameter", RENAME, http_status=400), 1, 0, RenameMaxTokens),
        (Failure("rejected:unsupported_parameter", RENAME, http_status=400), 4, 0, RenameMaxTokens),
        (Failure("rejected:422", RENAME, http_status=422), 1, 0, GiveUp),
    ],
)
def test_decisions(failure: Failure, attempt: int, lasting: float, decision: type) -> None:
    assert type(after(failure, attempt, lasting)) is decision


@pytest.mark.parametrize(("reason", "everybody"), [("rate_limited", True), ("server_error", False), ("timeout", False)])
def test_a_rate_limit_concerns_everybody(reason: str, everybody: bool) -> None:
    decision = after(Failure(reason, "x"))
    assert isinstance(decision, Wait)
    assert decision.everybody is everybody


@pytest.mark.parametrize("reason", ["timeout", "server_error"])
def test_an_outage_is_waited_out_and_blames_no_image(reason: str) -> None:
    for seconds in (0.0, 20.0, 599.0):
        decision = after(Failure(reason, "x"), attempt=99, outage=Outage(seconds, certain=True))
        assert isinstance(decision, Wait)
        assert 0.5 <= decision.seconds <= SILENT_CAP_SECONDS
    decision = after(Failure(reason, "x"), attempt=99, outage=Outage(600.0, certain=True))
    assert isinstance(decision, Stop)
    assert "nothing but errors for 600 s" in decision.message


def test_a_few_images_that_nothing_helps_end_as_rows() -> None:
    failure = Failure("server_error", "x")
    assert isinstance(after(failure, attempt=1, outage=Outage(599.0, certain=False)), Wait)
    assert isinstance(after(failure, attempt=1, outage=Outage(600.0, certain=False)), GiveUp)


def test_what_is_no_fault_of_the_image_uses_up_no_attempt() -> None:
    assert {"rate_limited", "unreachable"} == UNCOUNTED_REASONS


@pytest.mark.parametrize(
    ("failure", "lasting", "words"),
    [
        (Failure("quota_exhausted", "No money."), 0, ["quota", "run again", "No money."]),
        (Failure("credentials_refused", "Bad key."), 0, ["credentials", "check the key", "Bad key."]),
        (Failure("not_found", "No such model."), 0, ["does not know", "No such model."]),
        (Failure("wrong_address", "HTTP 301."), 0, ["address", "HTTP 301."]),
        (Failure("unreachable", "Refused."), 612.4, ["612 s", "Refused."]),
        (Failure("rate_limited", "Too fast.", retry_after=7200), 0, ["120 minutes", "run again", "Too fast."]),
    ],
)
def test_a_stop_says_what_is_wrong_and_what_to_do(failure: Failure, lasting: float, words: list[str]) -> None:
    decision = after(failure, lasting=lasting)
    assert isinstance(decision, Stop)
    for word in words:
        assert word in decision.message


@given(st.integers(1, 10_000), st.integers())
def test_backoff_is_exponential_with_full_jitter(attempt: int, seed: int) -> None:
    limits = LimitOptions(max_attempts=100_000)
    decision = decide(Failure("server_error", "x"), attempt, 0, None, limits, random.Random(seed))
    assert isinstance(decision, Wait)
    assert 0 <= decision.seconds <= min(CAP_SECONDS, BASE_SECONDS * 2**attempt if attempt < 20 else CAP_SECONDS)


def test_full_jitter_uses_the_whole_range() -> None:
    waits = [after(Failure("server_error", "x"), attempt=3, seed=seed) for seed in range(200)]
    seconds = [wait.seconds for wait in waits if isinstance(wait, Wait)]
    assert min(seconds) < 0.1 * BASE_SECONDS * 8
    assert max(seconds) > 0.9 * BASE_SECONDS * 8


@given(st.sampled_from(["rate_limited", "server_error", "timeout"]), st.floats(0.001, 600), st.integers())
def test_a_hint_is_kept_and_hardly_exceeded(reason: str, hint: float, seed: int) -> None:
    decision = after(Failure(reason, "x", retry_after=hint), seed=seed)
    assert isinstance(decision, Wait)
    assert hint <= decision.seconds <= hint + min(1.0, 0.05 + 0.1 * hint)


@given(st.none() | st.just(0.0), st.floats(0, 1e6), st.integers())
def test_without_a_hint_a_rate_limit_is_waited_out_for_as_long_again(
    hint: float | None, lasting: float, seed: int
) -> None:
    decision = after(Failure("rate_limited", "x", retry_after=hint), lasting=lasting, seed=seed)
    assert isinstance(decision, Wait)
    assert 0.5 <= decision.seconds <= SILENT_CAP_SECONDS
    assert decision.seconds <= max(lasting, 1.0)
