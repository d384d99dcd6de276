"""What a run measured at its endpoints, in a few words. Pure; from the plain values in `_nightcap/runs/RUN.json`."""

from collections.abc import Iterator, Mapping
from typing import Any

Row = tuple[str, str, str]
"""Name, number, and what there is to say about it."""


def traffic_rows(endpoints: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    """A row for each endpoint that was asked over a network: requests, use of its limits, latency, 429s."""
    asked = {name: endpoint for name, endpoint in endpoints.items() if endpoint["limits"] and endpoint["requests"]}
    for name, endpoint in asked.items():
        yield name if len(asked) > 1 else "requests", f"{endpoint['requests']:,}", ", ".join(_words(endpoint))


def _words(endpoint: Mapping[str, Any]) -> Iterator[str]:
    for limit in ("rpm", "tpm"):
        if used := endpoint["limits"][f"{limit}_used"]:
            yield f"{limit} {min(used, 1):.0%} used"  # for a moment the pace may be caught up with
    latency = endpoint["latency_ms"]
    if latency["buckets"]:
        yield f"latency p50 {_duration(latency['p50'])} and p99 {_duration(latency['p99'])}"
    yield f"{endpoint['failures'].get('rate_limited', 0):,} refused (429)"


def _duration(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"
