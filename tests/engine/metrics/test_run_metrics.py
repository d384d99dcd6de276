"""What is counted of a request, and what several endpoints are together."""

import json

import pytest

from pipeline.api.attempt import Attempt, Target
from pipeline.api.limits.limiter import LimitUse
from pipeline.engine.metrics.run_metrics import LATEST_ANSWERS, RunMetrics
from pipeline.items import Failure, Reply
from tests.engine.making import reply


def target(name: str) -> Target:
    return Target(name, "openai", "gpt-4o", "127.0.0.1", 80)


def attempt(outcome: Reply | Failure, seconds: float = 1.0, name: str = "west", retried: bool = False) -> Attempt:
    return Attempt(target(name), outcome, seconds, 0.25, 1000, retried)


def filled() -> RunMetrics:
    metrics = RunMetrics()
    for outcome, seconds, name in (
        (Failure("rate_limited", "Slow down."), 0.01, "west"),
        (reply(), 2.0, "west"),
        (Failure("timeout", "Nothing came."), 60.0, "east"),
        (reply(), 4.0, "east"),
    ):
        metrics.add_attempt(attempt(outcome, seconds, name))
    return metrics


def test_each_endpoint_has_its_own_counts() -> None:
    written = json.loads(json.dumps(filled().to_dict()))
    west, east = written["west"], written["east"]
    assert (west["requests"], west["failures"], east["failures"]) == (2, {"rate_limited": 1}, {"timeout": 1})
    assert (west["prompt_tokens"], west["completion_tokens"], west["body_bytes"]) == (270, 5, 2000)
    assert (west["latency_ms"]["max"], east["latency_ms"]["max"]) == (2000, 4000), "only answers have a latency"
    assert west["queue_ms"]["p50"] == 250


def test_limits_are_those_at_the_end_also_of_an_endpoint_that_was_never_asked() -> None:
    metrics = filled()
    metrics.set_limits({"west": LimitUse(900, None, 8, 0.98, None), "south": LimitUse(100, 5000, 8, None, None)})
    written = metrics.to_dict()
    assert written["west"]["limits"] == {"rpm": 900, "tpm": None, "concurrency": 8, "rpm_used": 0.98, "tpm_used": None}
    assert (written["south"]["requests"], written["east"]["limits"]) == (0, None)


def test_slow_is_what_the_latest_answers_say() -> None:
    metrics = RunMetrics()
    assert metrics.slow_seconds() is None
    metrics.add_attempt(attempt(Failure("timeout", "Nothing came."), 60.0))
    assert metrics.slow_seconds() is None, "a failure is no answer"
    for _ in range(50):
        metrics.add_attempt(attempt(reply(), 30.0))
    for hundredth in range(LATEST_ANSWERS):
        metrics.add_attempt(attempt(reply(), 1 + hundredth / LATEST_ANSWERS))
    assert metrics.slow_seconds() == pytest.approx(1.99), "what is long ago is forgotten"
