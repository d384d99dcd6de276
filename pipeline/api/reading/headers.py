"""What a response says about limits: Retry-After and `x-ratelimit-*`, in all the forms that were seen. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

_UNIT_SECONDS = {
    "µs": 1e-6, "us": 1e-6, "ms": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0,
}  # fmt: skip
_PART = rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNIT_SECONDS)})s?(?![a-z])\s*"
_DURATION_PART = re.compile(_PART, re.I | re.A)
_DURATION = re.compile(f"(?:{_PART})+", re.I | re.A)
_IN_TEXT = re.compile(rf"(?:try again|retry) (?:in|after) ((?:{_PART})+)", re.I | re.A)


def parse_duration(text: str) -> float | None:
    """Seconds in a number (`12`, `0.5`), a Go duration (`17ms`, `1h2m3.5s`) or words (`45 seconds`).

    None when it is none of them, or negative: Azure sends -1 for unknown.
    """
    try:
        seconds = float(text)
    except ValueError:
        if not _DURATION.fullmatch(text.strip()):
            return None
        seconds = sum(float(number) * _UNIT_SECONDS[unit.lower()] for number, unit in _DURATION_PART.findall(text))
    return seconds if 0 <= seconds < float("inf") else None


def read_retry_after(headers: Mapping[str, str], text: str = "") -> float | None:
    """Seconds the server asks us to wait: `retry-after-ms`, `retry-after` (seconds or date), else the error's text."""
    milliseconds = parse_duration(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = parse_duration(value)
    if seconds is None:
        seconds = _seconds_between(headers.get("date", ""), value)
    if seconds is None and (found := _IN_TEXT.search(text)):
        seconds = parse_duration(found[1])
    return seconds


def _seconds_between(date: str, later: str) -> float | None:
    """By the server's own clock, so that it matters to nobody whether ours is right."""
    try:
        return max(0.0, (parsedate_to_datetime(later) - parsedate_to_datetime(date)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Standing:
    """How one limit stands; None where the header is absent or meaningless (Azure sends -1)."""

    limit: float | None = None
    remaining: float | None = None
    reset_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """`x-ratelimit-*` of one response; None for a limit it says nothing about."""

    requests: Standing | None = None
    tokens: Standing | None = None


def read_rate_headers(headers: Mapping[str, str]) -> RateHeaders | None:
    """The rate limit headers as numbers; None when there are none."""
    get = headers.get
    requests = _read_standing(
        get("x-ratelimit-limit-requests"), get("x-ratelimit-remaining-requests"), get("x-ratelimit-reset-requests")
    )
    tokens = _read_standing(
        get("x-ratelimit-limit-tokens"), get("x-ratelimit-remaining-tokens"), get("x-ratelimit-reset-tokens")
    )
    return RateHeaders(requests, tokens) if requests or tokens else None


def _read_standing(*texts: str | None) -> Standing | None:
    if texts == (None, None, None):
        return None
    limit, remaining, reset = (None if text is None else parse_duration(text) for text in texts)
    return None if limit is remaining is reset is None else Standing(limit, remaining, reset)
