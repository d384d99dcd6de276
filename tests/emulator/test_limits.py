import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.emulator.limits import Bucket, Counter, Limits, Meter, admission_tokens


def limits(provider="openai", rpm=None, tpm=None, request_window=60.0, token_window=60.0):
    return Limits(provider, rpm, tpm, request_window, token_window)


def test_openai_lets_a_full_minute_through_at_once_and_then_refills_evenly():
    quota = limits(rpm=60)
    assert [quota.admit(1000.0, 1) for _ in range(60)] == [None] * 60
    denied = quota.admit(1000.0, 1)
    assert denied is not None
    assert (denied.kind, denied.limit, denied.used, denied.requested) == ("requests", 60, 60, 1)
    assert denied.wait_seconds == pytest.approx(1.0)
    assert quota.admit(1001.0, 1) is None
    assert quota.admit(1001.0, 1) is not None


def test_azure_counts_and_starts_again_at_the_end_of_the_minute():
    quota = limits("azure", tpm=1000)
    assert quota.admit(610.0, 700) is None
    denied = quota.admit(640.0, 301)
    assert denied is not None
    assert (denied.kind, denied.used, denied.requested, denied.wait_seconds) == ("tokens", 700, 301, 20.0)
    assert quota.admit(640.0, 300) is None
    assert quota.admit(659.9, 1) is not None
    assert quota.admit(660.0, 1000) is None


def test_azure_also_holds_the_requests_to_their_share_of_ten_seconds():
    quota = limits("azure", rpm=600, request_window=10.0)
    assert all(quota.admit(3.0, 1) is None for _ in range(100))
    denied = quota.admit(3.0, 1)
    assert denied is not None
    assert denied.wait_seconds == 7.0
    assert quota.standings(3.0)["requests"].remaining == 500, "headers speak of the minute"
    assert quota.admit(10.0, 1) is None


def test_openai_with_a_short_window_allows_only_its_share_as_a_burst():
    quota = limits(rpm=600, request_window=1.0)
    assert sum(quota.admit(5.0, 1) is None for _ in range(600)) == 10
    assert quota.admit(5.1, 1) is None


def test_a_small_limit_still_lets_one_request_into_a_short_window():
    quota = limits("azure", rpm=8, request_window=1.0)
    admitted = [second for second in range(60) if quota.admit(float(second), 1) is None]
    assert admitted == list(range(8))


def test_a_request_above_the_share_of_a_short_window_fits_an_unused_one():
    quota = limits("azure", tpm=6000, token_window=1.0)
    assert quota.admit(0.0, 1) is None
    assert quota.admit(0.5, 1105) is not None
    assert quota.admit(1.0, 1105) is None


@pytest.mark.parametrize("provider", ["openai", "azure"])
def test_a_request_larger_than_the_limit_never_fits(provider):
    denied = limits(provider, tpm=1000).admit(0.0, 1001)
    assert denied is not None
    assert math.isinf(denied.wait_seconds)


def test_at_azure_a_denied_request_counts_nothing():
    quota = limits("azure", rpm=2, tpm=100)
    assert quota.admit(0.0, 60) is None
    assert quota.admit(0.0, 60) is not None
    assert quota.admit(0.0, 40) is None


def test_at_openai_a_denied_request_counts_as_a_request():
    quota = limits(rpm=3, tpm=100)
    assert quota.admit(0.0, 60) is None
    assert quota.admit(0.0, 60) is not None
    assert quota.admit(0.0, 40) is None, "but none of its tokens"
    denied = quota.admit(0.0, 1)
    assert denied is not None
    assert (denied.kind, denied.wait_seconds) == ("requests", 20.0)


def test_who_keeps_resending_to_openai_never_gets_through():
    quota = limits(rpm=60)
    assert all(quota.admit(0.0, 1) is None for _ in range(60))
    assert all(quota.admit(second / 2, 1) for second in range(1, 100))
    assert quota.admit(51.0, 1) is None, "who waits does"


def test_headers_say_what_is_left_and_when_it_is_full_again():
    quota = limits(rpm=60, tpm=6000)
    quota.admit(0.0, 1500)
    standings = quota.standings(5.0)
    assert (standings["requests"].limit, standings["requests"].remaining) == (60, 60)
    assert (standings["tokens"].limit, standings["tokens"].remaining) == (6000, 5000)
    assert standings["tokens"].reset_seconds == pytest.approx(10.0)


def test_no_limit_means_no_headers_and_no_refusal():
    quota = limits()
    assert quota.admit(0.0, 10**9) is None
    assert quota.standings(0.0) == {}


def test_admission_counts_as_each_provider_does():
    assert admission_tokens("azure", 400, 765, 300) == 100 + 765 + 300
    assert admission_tokens("openai", 400, 765, 300) == 100 + 765
    assert admission_tokens("openai", 400, 765, 4096) == 4096
    assert admission_tokens("openai", 401, 0, None) == 101


arrivals = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 400)), min_size=1, max_size=200)


@given(st.sampled_from([Bucket, Counter]), st.sampled_from([60.0, 10.0, 1.0]), arrivals)
def test_never_more_than_one_window_holds_plus_what_refills(kind, window, arrivals):
    """Whatever is asked, what is let through in any stretch stays within the rate and one window's burst."""
    per_minute = 2400
    meter: Meter = kind(per_minute, window)
    now, taken = 0.0, []
    for gap, cost in arrivals:
        now += gap
        if meter.wait(now, cost) == 0:
            meter.take(now, cost)
            taken.append((now, cost))
    # A counter may be filled at the end of one window and again at the start of the next: up to one window more.
    capacity = max(per_minute * window / 60, 400) * (1 if kind is Bucket else 2)
    for start, (begin, _) in enumerate(taken):
        total = 0
        for time, cost in taken[start:]:
            total += cost
            assert total <= capacity + (time - begin) * per_minute / 60 + 400 + 1e-3


@given(st.sampled_from([Bucket, Counter]), arrivals)
def test_what_was_told_to_wait_fits_after_the_wait(kind, arrivals):
    meter: Meter = kind(2400, 60.0)
    now = 0.0
    for gap, cost in arrivals:
        now += gap
        wait = meter.wait(now, cost)
        assert meter.wait(now + wait + 1e-6, cost) == 0
        now += wait + 1e-6
        meter.take(now, cost)
