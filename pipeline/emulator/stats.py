"""What the emulator saw and did; the other side's account of a run. Pure counters."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Stats:
    """Counters since the start or the last `POST /reset`."""

    def __init__(self) -> None:
        self.requests = 0
        """Chat requests that arrived."""
        self.answered = 0
        """With a usable answer, sent to the last byte."""
        self.abandoned = 0
        """The client went away before the answer."""
        self.images = 0
        """In admitted requests."""
        self.prompt_tokens = 0
        """Billed: of every answer that was made, whether it arrived whole or not."""
        self.completion_tokens = 0
        self.bytes_received = 0
        self.mime_mismatches = 0
        """Images whose data URL claims another type than their bytes."""
        self.in_flight = 0
        self.peak_in_flight = 0
        self.denied: Counter[str] = Counter()
        """429s because of a limit, by limit."""
        self.faults: Counter[str] = Counter()
        """Ordered faults, by name."""
        self.statuses: Counter[int] = Counter()
        self.asked: Counter[str] = Counter()
        """Valid questions that were admitted, by `Question.digest`."""
        self.delivered: Counter[str] = Counter()
        """Answered questions, by `Question.digest`: more than one means that a caption was asked for twice."""
        self.first_arrival: float | None = None
        """Monotonic seconds."""
        self.last_answer: float | None = None

    @contextmanager
    def handling(self, now: float) -> Iterator[int]:
        """Around one request; gives its number, counted from 1."""
        self.requests += 1
        if self.first_arrival is None:
            self.first_arrival = now
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            yield self.requests
        finally:
            self.in_flight -= 1

    def sent(self, status: int, question: str | None, now: float) -> None:
        """A response left whole; `question` is the digest when it is a usable answer."""
        self.statuses[status] += 1
        self.last_answer = now
        if question is not None:
            self.answered += 1
            self.delivered[question] += 1

    @property
    def repeated(self) -> int:
        """Answers beyond the first to the same question."""
        return self.delivered.total() - len(self.delivered)

    def as_json(self) -> dict[str, object]:
        """For `GET /stats`."""
        seconds = 0.0
        if self.first_arrival is not None and self.last_answer is not None:
            seconds = self.last_answer - self.first_arrival
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
            "rate_limited": dict(self.denied),
            "faults": dict(self.faults),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "distinct_questions": len(self.asked),
            "repeated_answers": self.repeated,
            "seconds": round(seconds, 3),
        }
