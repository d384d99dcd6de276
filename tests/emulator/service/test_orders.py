"""Faults, refusals and latencies to order."""

import json
import math
import statistics

import pytest

from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.emulator.service import Outcome
from pipeline.errors import UserError
from tests.emulator.service.asking import Asking, azure, body_of, error_of, openai, request


@pytest.mark.parametrize(
    ("fault", "provider", "status", "code"),
    [
        ("content_filter", openai, 400, "content_policy_violation"),
        ("content_filter", azure, 400, "content_filter"),
        ("insufficient_quota", openai, 429, "insufficient_quota"),
        ("rate_limit", openai, 429, "rate_limit_exceeded"),
        ("rate_limit", azure, 429, "429"),
        ("server_error", openai, 500, None),
        ("unauthorized", openai, 401, "invalid_api_key"),
        ("model_not_found", openai, 404, "model_not_found"),
        ("context_length", openai, 400, "context_length_exceeded"),
    ],
)
def test_errors_to_order(fault, provider, status, code):
    outcome = Asking(scenario=(Step(fault),))(provider(request()))
    assert (outcome.status, error_of(outcome)["code"], outcome.question) == (status, code, None)


def test_an_ordered_rate_limit_says_when_to_come_back():
    ask = Asking(scenario=(Step("rate_limit", requests=(1, 1), retry_after=2.5),))
    outcome = ask(openai(request()))
    assert (outcome.headers["retry-after"], outcome.headers["retry-after-ms"]) == ("3", "2500")
    assert "try again in 2.5s" in error_of(outcome)["message"]
    assert ask(openai(request())).status == 200
    assert ask.service.stats.faults == {"rate_limit": 1}
    assert ask.service.stats.rate_limited == {}, "no limit was reached"


def test_errors_of_a_proxy_are_pages():
    outcome = Asking(scenario=(Step("bad_gateway"),))(openai(request()))
    assert (outcome.status, outcome.content_type) == (502, "text/html")
    assert b"<html>" in outcome.body


def test_spoilt_answers():
    def spoilt(fault: str) -> Outcome:
        outcome = Asking(scenario=(Step(fault),))(openai(request()))
        assert outcome.status == 200
        return outcome

    with pytest.raises(json.JSONDecodeError):
        body_of(spoilt("invalid_json"))
    assert spoilt("html").content_type == "text/html"
    assert body_of(spoilt("empty_choices"))["choices"] == []
    assert body_of(spoilt("empty_answer"))["choices"][0]["message"]["content"] == ""
    assert spoilt("empty_answer").question is None
    assert "usage" not in body_of(spoilt("missing_usage"))
    assert spoilt("missing_usage").question is not None
    assert [spoilt(fault).delivery for fault in ("cut", "cut_body", "hang", "slow_body")] == [
        "cut",
        "cut_body",
        "hang",
        "slow_body",
    ]


def test_refusals():
    refusal = body_of(Asking(rates={"refusal": 1.0})(openai(request())))["choices"][0]
    assert refusal["message"]["content"] is None
    assert "can't assist" in refusal["message"]["refusal"]
    apology = body_of(Asking(rates={"apology": 1.0})(openai(request())))["choices"][0]
    assert "can't assist" in apology["message"]["content"]
    filtered = body_of(Asking(rates={"answer_filtered": 1.0})(azure(request())))["choices"][0]
    assert filtered["finish_reason"] == "content_filter"
    assert filtered["content_filter_results"]["violence"] == {"filtered": True, "severity": "medium"}


def test_latency_has_a_median_and_a_spread():
    call = openai(request())
    ask, again = Asking(latency=2.0, latency_sigma=0.35), Asking(latency=2.0, latency_sigma=0.35)
    delays = [ask(call).delay_seconds for _ in range(500)]
    assert statistics.median(delays) == pytest.approx(2.0, rel=0.08)
    assert statistics.stdev(map(math.log, delays)) == pytest.approx(0.35, rel=0.15)
    assert [again(call).delay_seconds for _ in range(3)] == delays[:3]
    plain = Asking(latency=1.0, token_latency=0.1)(openai(request()))
    assert plain.delay_seconds == pytest.approx(1.0 + 0.1 * body_of(plain)["usage"]["completion_tokens"])


@pytest.mark.parametrize(
    "options",
    [{"rates": {"overlaoded": 0.1}}, {"rates": {"cut": 1.5}}, {"time_scale": 0}, {"rpm": 0}, {"tpm": -1}],
)
def test_wrong_options_are_named(options):
    with pytest.raises(UserError):
        EmulatorOptions(**options)
