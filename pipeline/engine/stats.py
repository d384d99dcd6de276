"""The counters of a run, and the summary they end as. Plain numbers: drawing them is somebody else's business."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Literal

from pipeline.api.attempt import Attempt
from pipeline.engine.metrics.run_metrics import RunMetrics
from pipeline.engine.self_check import Residuals, compare, residuals_to_list
from pipeline.items import Failure, Record

Ending = Literal["interrupted", "terminated", "trouble", "limit", "deadline", "budget"]
"""`limit`, `deadline` and `budget` are the user's own: so many images, so long, so much money."""
EXIT_CODES: dict[Ending, int] = {
    "interrupted": 130,
    "terminated": 143,
    "trouble": 3,
    "limit": 4,
    "deadline": 4,
    "budget": 4,
}


@dataclass(slots=True)
class RunStats:
    """Counters of a run going on; the engine's loop alone writes them."""

    listed: int = 0
    skipped: int = 0
    """Finished by an earlier run."""
    skipped_without_caption: int = 0
    """Of these, rows whose failure is the image's own and waits for a changed file or `nightcap retry`."""
    listing_done: bool = False
    not_asked: int = 0
    """Of the listed, those that came when nothing was asked any more: above `--limit`, or after the run was stopped."""
    ready: int = 0
    """Prepared, asked or waiting to be."""
    original_bytes: int = 0
    sent_bytes: int = 0
    reused: int = 0
    """Rows of this run whose content was paid for before, under another name or version."""
    pruned: int = 0
    """Rows removed because their images are gone from the source."""
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    predicted_prompt_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unknown_usd: Decimal = Decimal(0)
    """Of a budget that is spent, what may have been billed for answers that never came; in no row."""
    unpriced: int = 0
    """Answered rows whose price is unknown."""
    unrecorded: int = 0
    """Answers that the disk did not take; on the bill, but not in the output."""
    unrecorded_usd: Decimal = Decimal(0)
    examples: dict[str, str] = field(default_factory=dict)
    """One key for each reason."""
    residuals: Residuals = field(default_factory=dict)
    """Billed minus predicted prompt tokens."""

    @property
    def recorded(self) -> int:
        """Rows written by this run."""
        return self.statuses.total()

    @property
    def captioned(self) -> int:
        """Rows with a whole caption."""
        return self.statuses["captioned"]

    @property
    def todo(self) -> int:
        """Listed images that this run takes on: not finished by an earlier one, and not above its limit."""
        return self.listed - self.skipped - self.not_asked

    @property
    def left(self) -> int:
        """Listed images without a row of this request. More there may be, unless `listing_done`."""
        return self.listed - self.skipped - self.recorded

    def add_attempt(self, attempt: Attempt) -> None:
        if attempt.retried and isinstance(attempt.outcome, Failure):
            self.retries[attempt.outcome.reason] += 1

    def add_record(self, record: Record, *, reused: bool = False) -> None:
        """A row that is safe. `reused`: paid for before, so its tokens, if it has any, are no expense of this run."""
        self.statuses[record.status] += 1
        if record.reason:
            self.reasons[record.reason] += 1
            self.examples.setdefault(record.reason, record.key)
        if reused:
            self.reused += 1
            return
        if record.sent_bytes is not None:  # it was asked about
            self.sent_bytes += record.sent_bytes
            if record.content_hash:  # else its bytes never came here: the model fetches it itself
                self.original_bytes += record.bytes or 0
        compare(self.residuals, record)
        self.prompt_tokens += record.prompt_tokens or 0
        self.completion_tokens += record.completion_tokens or 0
        self.cached_tokens += record.cached_tokens or 0
        self.predicted_prompt_tokens += record.predicted_prompt_tokens or 0
        if record.cost_usd is not None:
            self.cost_usd += record.cost_usd
        elif record.attempts and record.status != "failed":
            self.unpriced += 1

    def set_unrecorded(self, records: Sequence[Record]) -> None:
        """Rows of answers that this run paid for, and that could not be written."""
        self.unrecorded = len(records)
        self.unrecorded_usd = sum((record.cost_usd or Decimal(0) for record in records), Decimal(0))


Observer = Callable[[RunStats], None]
"""Called now and then with the counters of a run going on."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, for people, `--json`, `_nightcap/runs/RUN.json` and callers of `pipeline.run`."""

    run_id: str
    out: str
    model: str
    seconds: float
    stats: RunStats
    stopped: Ending | None = None
    """Why the run ended before everything listed was asked."""
    message: str | None = None
    """The trouble that stopped it, in one sentence."""
    input_usd: Decimal | None = None
    """Price of one prompt token; None: unknown."""
    metrics: RunMetrics = field(default_factory=RunMetrics)
    trouble_exit_code: int = EXIT_CODES["trouble"]
    """Of the trouble that stopped it: 2 where the source itself was wrong, which a long listing may tell late."""

    @property
    def exit_code(self) -> int:
        """0 every image captioned, 1 some without, 2 or 3 trouble, 4 a limit of the user's, 130/143 interrupted."""
        if self.stopped == "trouble":
            return self.trouble_exit_code
        if self.stopped:
            return EXIT_CODES[self.stopped]
        return int(self.stats.recorded > self.stats.captioned or self.stats.skipped_without_caption > 0)

    @property
    def left_usd(self) -> Decimal | None:
        """What the images left would cost at this run's mean; None: there is none, or a price is unknown."""
        stats = self.stats
        return None if stats.unpriced or not stats.recorded else stats.left * stats.cost_usd / stats.recorded

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values; money is a string, as Decimal is exact and JSON numbers are not."""
        stats = {f.name: getattr(self.stats, f.name) for f in fields(self.stats)}
        stats["cost_usd"] = str(self.stats.cost_usd)
        stats["unknown_usd"] = str(self.stats.unknown_usd)
        stats["unrecorded_usd"] = str(self.stats.unrecorded_usd)
        stats["residuals"] = residuals_to_list(self.stats.residuals, self.input_usd)
        left_usd = self.left_usd
        return {
            "run_id": self.run_id,
            "out": self.out,
            "model": self.model,
            "exit_code": self.exit_code,
            "stopped": self.stopped,
            "message": self.message,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.stats.recorded / self.seconds, 3) if self.seconds else None,
            "left": self.stats.left,
            "left_usd": None if left_usd is None else str(round(left_usd, 9)),
            **stats,
            "endpoints": self.metrics.to_dict(),
        }
