"""What a run measures at its endpoints: requests, failures, tokens, bytes, how long they took and waited."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.api.attempt import Attempt
from pipeline.api.limits.limiter import LimitUse
from pipeline.engine.metrics.histogram import Histogram
from pipeline.items import Failure

# Enough for a 99th percentile, few enough to follow an endpoint that becomes slower.
LATEST_ANSWERS = 1000


@dataclass(slots=True)
class EndpointMetrics:
    """One endpoint's. Requests are counted when they have ended."""

    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """Requests that got no answer, by reason; `rate_limited` are the 429s. Most were asked again."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    body_bytes: int = 0
    """Of the requests, repeated ones too."""
    latency_ms: Histogram = field(default_factory=Histogram)
    """Of the answers: a refusal is quick and would only make it look better."""
    queue_ms: Histogram = field(default_factory=Histogram)
    limits: LimitUse | None = None
    """Known at the end; None where there is nothing to limit."""

    def add(self, attempt: Attempt) -> None:
        self.requests += 1
        self.body_bytes += attempt.body_bytes
        self.queue_ms.add(int(attempt.queue_seconds * 1000))
        outcome = attempt.outcome
        if isinstance(outcome, Failure):
            self.failures[outcome.reason] += 1
        else:
            self.latency_ms.add(int(attempt.latency_seconds * 1000))
        usage = outcome.usage
        self.prompt_tokens += usage.prompt_tokens or 0
        self.completion_tokens += usage.completion_tokens or 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "requests": self.requests,
            "failures": dict(self.failures),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "body_bytes": self.body_bytes,
            "latency_ms": self.latency_ms.to_dict(),
            "queue_ms": self.queue_ms.to_dict(),
            "limits": asdict(self.limits) if self.limits else None,
        }


class RunMetrics:
    """All endpoints of a run."""

    def __init__(self) -> None:
        self.endpoints: dict[str, EndpointMetrics] = {}
        self.ended: float | None = None
        """When the last row was written, by the monotonic clock; None: the run goes on."""
        self._latest: deque[float] = deque(maxlen=LATEST_ANSWERS)

    def add_attempt(self, attempt: Attempt) -> None:
        name = attempt.target.name
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            endpoint = self.endpoints[name] = EndpointMetrics()
        endpoint.add(attempt)
        if not isinstance(attempt.outcome, Failure):
            self._latest.append(attempt.latency_seconds)

    def slow_seconds(self) -> float | None:
        """What the slowest hundredth of the latest answers took at least; None: there is no answer yet."""
        latest = sorted(self._latest)
        return latest[int(0.99 * len(latest))] if latest else None

    def set_limits(self, limits: Mapping[str, LimitUse]) -> None:
        """What limited each endpoint, as it stands."""
        for name, use in limits.items():
            self.endpoints.setdefault(name, EndpointMetrics()).limits = use

    def to_dict(self) -> dict[str, dict[str, Any]]:
        return {name: endpoint.to_dict() for name, endpoint in self.endpoints.items()}
