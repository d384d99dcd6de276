import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipeline.api.reading.headers import RateHeaders, Standing, parse_duration, read_rate_headers, read_retry_after


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12),
        ("0.5", 0.5),
        (" 3 ", 3),
        ("0", 0),
        ("17ms", 0.017),
        ("708ms", 0.708),
        ("500µs", 0.0005),
        ("1s", 1),
        ("3.5s", 3.5),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("114h18m0s", 411_480),
        ("1d2h", 93_600),
        ("45 seconds", 45),
        ("1 second", 1),
        ("500 milliseconds", 0.5),
        ("2 minutes 30 seconds", 150),
        ("1 hour", 3600),
        ("10 SEC", 10),
    ],
)
def test_durations_in_every_form(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "-1", "nan", "inf", "1e999", "soon", "5 months", "1 h 5", "s", "6m0s.", "--", "1x"]
)
def test_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("headers", "text", "seconds"),
    [
        ({}, "", None),
        ({"Retry-After": "7"}, "", 7),
        ({"retry-after": "0"}, "", 0),
        ({"Retry-After-Ms": "1500", "Retry-After": "30"}, "", 1.5),
        ({"retry-after-ms": "-1", "retry-after": "30"}, "", 30),
        ({"Retry-After": "-1"}, "", None),
        ({"Retry-After": "-1"}, "Please try again in 2s.", 2),
        ({"Retry-After": "8"}, "Please try again in 2s.", 8),
        ({"Retry-After": "tomorrow"}, "", None),
    ],
)
def test_what_the_server_asks_for(headers: dict[str, str], text: str, seconds: float | None) -> None:
    assert read_retry_after(CIMultiDict(headers), text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Limit 90000, Used 89919, Requested 1144. Please try again in 708ms", 0.708),
        ("Please try again in 708ms. Visit https://platform.openai.com to learn more.", 0.708),
        ("Please try again in 20s.", 20),
        ("Please try again in 6m0s.", 360),
        ("Please try again in 114h18m0s. Visit https://platform.openai.com", 411_480),
        ("Please try again in 1h2m3.5s.", 3723.5),
        ("your current OpenAI S0 pricing tier. Please retry after 45 seconds.", 45),
        ("Please retry after 1 second. Please go here: https://aka.ms/oai", 1),
        ("Please retry after 86400 seconds.", 86_400),
        ("Rate limit is exceeded. Try again in 2 seconds.", 2),
        ("Please retry in 36.5s.", 36.5),
        ("Try again in 5 months.", None),
        ("Please try again later.", None),
        ("Please try again in a few seconds.", None),
    ],
)
def test_hints_in_the_text_of_an_error(text: str, seconds: float | None) -> None:
    assert read_retry_after({}, text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("date", "later", "seconds"),
    [
        ("Fri, 21 Nov 2026 10:00:00 GMT", "Fri, 21 Nov 2026 10:01:30 GMT", 90),
        ("Fri, 21 Nov 2026 10:00:00 GMT", "Fri, 21 Nov 2026 09:00:00 GMT", 0),
        ("", "Fri, 21 Nov 2026 10:01:30 GMT", None),
        ("Fri, 21 Nov 2026 10:00:00 GMT", f"Fri, 21 Nov {10**30} 10:01:30 GMT", None),
        ("Fri, 21 Nov 2026 10:00:00 -0000", "Fri, 21 Nov 2026 10:01:30 GMT", None),
    ],
)
def test_a_date_is_read_by_the_servers_own_clock(date: str, later: str, seconds: float | None) -> None:
    assert read_retry_after(CIMultiDict({"Date": date, "Retry-After": later})) == seconds


def test_rate_headers_of_openai() -> None:
    headers = CIMultiDict(
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-limit-tokens": "150000",
            "X-RateLimit-Remaining-Requests": "59",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-reset-tokens": "6m0s",
        }
    )
    assert read_rate_headers(headers) == RateHeaders(Standing(60, 59, 1), Standing(150_000, 149_984, 360))


def test_rate_headers_of_azure_say_minus_one_for_unknown() -> None:
    headers = {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "12", "x-ratelimit-limit-tokens": ""}
    assert read_rate_headers(headers) == RateHeaders(tokens=Standing(reset_seconds=12))


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-limit-requests": "-1", "x-ratelimit-reset-requests": "soon"}])
def test_headers_that_say_nothing_are_none(headers: dict[str, str]) -> None:
    assert read_rate_headers(headers) is None


@given(st.text(), st.text(), st.text(), st.text())
def test_no_header_and_no_text_raises(milliseconds: str, after: str, date: str, text: str) -> None:
    headers = {"retry-after-ms": milliseconds, "retry-after": after, "date": date}
    seconds = read_retry_after(headers, f"Please try again in {text}")
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.integers(0, 10_000), st.integers(0, 59), st.floats(0, 59.999).map(lambda s: round(s, 3)))
def test_go_durations_are_read_back(hours: int, minutes: int, seconds: float) -> None:
    expected = hours * 3600 + minutes * 60 + seconds
    assert parse_duration(f"{hours}h{minutes}m{seconds:.3f}s") == pytest.approx(expected)
