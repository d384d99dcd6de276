"""What response headers say about limits: Retry-After and `x-ratelimit-*`, in all the forms that were seen. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|s|m|h|d)")
_UNIT_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_IN_TEXT = re.compile(
    r"(?:try again|retry) (?:in|after) (\d+(?:\.\d+)?\s*(?:ms|seconds?|minutes?|hours?|[smh])(?:\d[\dhms.]*)?)", re.I
)


def parse_duration(text: str) -> float | None:
    """Seconds in a number (`12`, `0.5`) or a Go duration (`17ms`, `1h2m3.5s`); None when neither, or negative."""
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        parts = _DURATION.findall(text)
        if not parts or "".join(n + u for n, u in parts) != text:
            return None
        seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    return seconds if 0 <= seconds < float("inf") else None


def read_retry_after(headers: Mapping[str, str], text: str = "", now: datetime | None = None) -> float | None:
    """Seconds the server asks us to wait: `retry-after-ms`, `retry-after` (seconds or date), else the error's text."""
    milliseconds = parse_duration(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = parse_duration(value)
    if seconds is None and value:
        seconds = _until_date(value, now or datetime.now(UTC))
    if seconds is None and (found := _IN_TEXT.search(text)):
        words = re.sub(r"\s*(?:(s)ec\w*|(m)in\w*|(h)ours?)$", r"\1\2\3", found[1].lower())
        seconds = parse_duration(words.replace(" ", ""))
    return seconds


def _until_date(value: str, now: datetime) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """`x-ratelimit-*` of one response; None where absent or meaningless (Azure sends -1)."""

    limit_requests: float | None = None
    limit_tokens: float | None = None
    remaining_requests: float | None = None
    remaining_tokens: float | None = None
    reset_requests_seconds: float | None = None
    reset_tokens_seconds: float | None = None


def read_rate_headers(headers: Mapping[str, str]) -> RateHeaders:
    """The rate limit headers as numbers."""

    def value(name: str) -> float | None:
        return parse_duration(headers.get(f"x-ratelimit-{name}", ""))

    return RateHeaders(
        value("limit-requests"),
        value("limit-tokens"),
        value("remaining-requests"),
        value("remaining-tokens"),
        value("reset-requests"),
        value("reset-tokens"),
    )
