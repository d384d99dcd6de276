import json
import math

import pytest

from pipeline.emulator.faults import FAULTS
from pipeline.emulator.limits import Denied
from pipeline.emulator.wire.errors import FAULT_ERRORS, denied, go_duration, ordered, unauthorized


def error_of(wire):
    return json.loads(wire.body())["error"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0165, "17ms"),
        (0.708, "708ms"),
        (1, "1s"),
        (3.5, "3.5s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (3723.5, "1h2m3.5s"),
        (411_480, "114h18m0s"),
    ],
)
def test_durations_as_openai_writes_them(seconds, text):
    assert go_duration(seconds) == text


def test_openai_says_what_was_used_and_when_to_come_back():
    wire = denied("openai", Denied("tokens", 90000, 89919, 1144, 0.708), "gpt-4o", "")
    assert error_of(wire) == {
        "message": "Rate limit reached for gpt-4o in organization org-emulator on tokens per min (TPM): Limit 90000, "
        "Used 89919, Requested 1144. Please try again in 708ms.",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert (wire.status, wire.retry_after) == (429, 0.708)


def test_openai_says_when_a_request_can_never_fit():
    wire = denied("openai", Denied("tokens", 1000, 0, 1144, math.inf), "gpt-4o", "")
    assert "Request too large for gpt-4o" in wire.message
    assert "must be reduced" in wire.message
    assert wire.retry_after is None


def test_azure_gives_a_string_for_a_code_and_nothing_else():
    wire = denied("azure", Denied("requests", 600, 600, 1, 6.2), "captions", "2024-10-21")
    error = error_of(wire)
    assert set(error) == {"code", "message"}
    assert error["code"] == "429"
    assert "API version 2024-10-21" in error["message"]
    assert "exceeded call rate limit" in error["message"]
    assert "retry after 7 seconds" in error["message"]


def test_azure_asks_a_request_that_never_fits_to_wait_a_day():
    wire = denied("azure", Denied("tokens", 1000, 0, 1144, math.inf), "captions", "2024-10-21")
    assert wire.retry_after == 86400
    assert "86400 seconds" in wire.message


@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_a_refused_key_is_not_repeated(provider):
    assert "secret" not in unauthorized(provider, "sk-very-secret-key").message
    assert "secret" not in unauthorized(provider, "secret").message


@pytest.mark.parametrize("provider", ["openai", "azure"])
@pytest.mark.parametrize("fault", sorted(FAULT_ERRORS))
def test_every_error_to_order_is_an_error_in_its_providers_form(fault, provider):
    wire = ordered(fault, provider, "gpt-4o", "2024-10-21", retry_after=3.0)
    assert wire is not None
    assert 400 <= wire.status < 600
    assert wire.retry_after == 3.0
    assert fault in FAULTS
    if wire.html:
        assert b"<html>" in wire.body()
    elif provider == "openai":
        assert {"message", "type", "param", "code"} <= set(error_of(wire))
    else:
        assert error_of(wire)["message"]


def test_azures_content_filter_names_the_category():
    wire = ordered("content_filter", "azure", "d", "2024-10-21")
    assert wire is not None
    error = error_of(wire)
    assert (error["code"], error["param"], error["status"]) == ("content_filter", "prompt", 400)
    verdict = error["innererror"]["content_filter_result"]
    assert verdict["violence"] == {"filtered": True, "severity": "medium"}
    assert verdict["hate"] == {"filtered": False, "severity": "safe"}


def test_a_fault_that_spoils_an_answer_is_no_error():
    assert ordered("empty_choices", "openai", "gpt-4o", "") is None
