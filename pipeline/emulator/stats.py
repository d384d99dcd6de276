"""What the emulator saw and did; the other side's account of a run. Pure counters."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WARM_SECONDS = 10.0
"""After its first request, a client has come up to its pace."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What had been admitted before the request of that moment; what lies between two marks was due between them."""

    at: float
    """Seconds of the emulator's clock."""
    requests: int
    tokens: int


@dataclass(slots=True)
class EndpointStats:
    """Counters of one endpoint."""

    requests: int = 0
    """Chat requests that arrived."""
    admitted: int = 0
    """Requests that its limits let through, whatever became of them."""
    admitted_tokens: int = 0
    """What they counted for, by the provider's estimate."""
    answered: int = 0
    """With a usable answer, sent to the last byte."""
    prompt_tokens: int = 0
    """Billed: of every answer that was made, whether it arrived whole or not."""
    completion_tokens: int = 0
    rate_limited: Counter[str] = field(default_factory=Counter)
    """429s because of a limit, by limit."""
    faults: Counter[str] = field(default_factory=Counter)
    """Ordered faults, by name."""
    first: Mark | None = None
    """Of the first request that was admitted."""
    warm: Mark | None = None
    """Of the first one WARM_SECONDS later."""
    last: Mark | None = None

    def admit(self, tokens: int, now: float) -> None:
        self.last = Mark(now, self.admitted, self.admitted_tokens)
        if self.first is None:
            self.first = self.last
        elif self.warm is None and now - self.first.at >= WARM_SECONDS:
            self.warm = self.last
        self.admitted += 1
        self.admitted_tokens += tokens

    def as_json(self) -> dict[str, object]:
        seconds = self.last.at - self.first.at if self.first and self.last else 0.0
        return {
            "requests": self.requests,
            "admitted": self.admitted,
            "admitted_tokens": self.admitted_tokens,
            "admitted_seconds": round(seconds, 3),
            "answered": self.answered,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "rate_limited": dict(self.rate_limited),
            "faults": dict(self.faults),
        }


class Stats:
    """Counters since the start or the last `POST /reset`."""

    def __init__(self) -> None:
        self.endpoints: dict[str, EndpointStats] = {}
        """By name; "" is the one without."""
        self.abandoned = 0
        """The client went away before the answer."""
        self.images = 0
        """In admitted requests."""
        self.bytes_received = 0
        self.mime_mismatches = 0
        """Images whose data URL claims another type than their bytes."""
        self.in_flight = 0
        self.peak_in_flight = 0
        self.statuses: Counter[int] = Counter()
        self.analyses: Counter[int] = Counter()
        """Calls of Image Analysis, by status."""
        self.asked: Counter[str] = Counter()
        """Valid questions that were admitted, by `Question.digest`."""
        self.delivered: Counter[str] = Counter()
        """Answered questions, by `Question.digest`: more than one means that a caption was asked for twice."""
        self.first_arrival: float | None = None
        """Seconds of the emulator's clock."""
        self.last_answer: float | None = None

    def at(self, endpoint: str) -> EndpointStats:
        """The counters of the endpoint of that name."""
        return self.endpoints.setdefault(endpoint, EndpointStats())

    @contextmanager
    def handling(self, endpoint: str, now: float) -> Iterator[int]:
        """Around one request; gives its number at its endpoint, counted from 1."""
        counters = self.at(endpoint)
        counters.requests += 1
        if self.first_arrival is None:
            self.first_arrival = now
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            yield counters.requests
        finally:
            self.in_flight -= 1

    def sent(self, endpoint: str, status: int, question: str | None, now: float) -> None:
        """A response left whole; `question` is the digest when it is a usable answer."""
        self.statuses[status] += 1
        self.last_answer = now
        if question is not None:
            self.at(endpoint).answered += 1
            self.delivered[question] += 1

    @property
    def requests(self) -> int:
        """Chat requests that arrived, at all endpoints."""
        return sum(each.requests for each in self.endpoints.values())

    @property
    def answered(self) -> int:
        """With a usable answer, by all endpoints."""
        return sum(each.answered for each in self.endpoints.values())

    @property
    def prompt_tokens(self) -> int:
        """Billed by all endpoints."""
        return sum(each.prompt_tokens for each in self.endpoints.values())

    @property
    def completion_tokens(self) -> int:
        """Billed by all endpoints."""
        return sum(each.completion_tokens for each in self.endpoints.values())

    @property
    def rate_limited(self) -> Counter[str]:
        """429s because of a limit, by limit, of all endpoints."""
        return sum((each.rate_limited for each in self.endpoints.values()), Counter[str]())

    @property
    def faults(self) -> Counter[str]:
        """Ordered faults of all endpoints, by name."""
        return sum((each.faults for each in self.endpoints.values()), Counter[str]())

    @property
    def repeated(self) -> int:
        """Answers beyond the first to the same question."""
        return self.delivered.total() - len(self.delivered)

    def as_json(self) -> dict[str, object]:
        """For `GET /stats`: all endpoints together, and each that has a name."""
        seconds = 0.0
        if self.first_arrival is not None and self.last_answer is not None:
            seconds = self.last_answer - self.first_arrival
        named = {name: each.as_json() for name, each in sorted(self.endpoints.items()) if name}
        return {
            "requests": self.requests,
            "answered": self.answered,
            "abandoned": self.abandoned,
            "images": self.images,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "bytes_received": self.bytes_received,
            "mime_mismatches": self.mime_mismatches,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "rate_limited": dict(self.rate_limited),
            "faults": dict(self.faults),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "analyses": {str(status): count for status, count in self.analyses.items()},
            "distinct_questions": len(self.asked),
            "repeated_answers": self.repeated,
            "seconds": round(seconds, 3),
            **({"endpoints": named} if named else {}),
        }
