"""What is known of a live run from its beginning to its summary."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.api.attempt import Attempt
from pipeline.api.limits.budget import Budget
from pipeline.clock import Clock, utc
from pipeline.engine.asking.lint import LanguageCheck
from pipeline.engine.metrics.run_metrics import RunMetrics
from pipeline.engine.plan import Plan
from pipeline.engine.raw import RawReplies
from pipeline.engine.stats import Ending, RunStats, Summary
from pipeline.engine.stop import Stop
from pipeline.items import SourceImage
from pipeline.models import Model, RequestLimits, find_price
from pipeline.objects import without_secrets
from pipeline.sources import Source

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from pipeline.engine.metrics.telemetry import Telemetry  # only with the extra `otel`

Chooser = Callable[[Iterator[SourceImage]], Iterator[SourceImage]]
"""From what is listed, each image with the prompt that is its own, to what is looked at."""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What is known of a run before anything is opened."""

    id: str
    plan: Plan
    model: Model
    source: Source
    choose: Chooser
    clock: Clock
    begun: float
    """By the monotonic clock."""
    deadline: float | None
    """By the wall clock."""
    stats: RunStats
    metrics: RunMetrics
    stop: Stop
    limits: RequestLimits
    """Of one request."""
    raw: RawReplies | None = None
    check_language: LanguageCheck | None = None
    telemetry: "Telemetry | None" = None

    def on_attempt(self, attempt: Attempt) -> None:
        """A request has ended."""
        self.stats.add_attempt(attempt)
        self.metrics.add_attempt(attempt)
        if self.telemetry:
            self.telemetry.add_attempt(attempt)

    def summarize(self) -> Summary:
        """The run as it stands."""
        stats, stop, plan = self.stats, self.stop, self.plan
        message = str(stop.error) if stop.error else None
        price = find_price(self.model, utc(self.clock.time()).date())
        input_usd = price.base.input if price else None
        ended = self.metrics.ended or self.clock.monotonic()
        seconds = ended - self.begun
        out, ending = without_secrets(plan.out), self._ending()
        summary = Summary(self.id, out, plan.asked, seconds, stats, ending, message, input_usd, self.metrics)
        return replace(summary, trouble_exit_code=stop.error.exit_code) if stop.error else summary

    def budget_is_spent(self, budget: Budget) -> None:
        """It has no room for another request."""
        self.stats.unknown_usd = budget.unknown
        if not budget.spent and not budget.unknown:
            lower = "pack or max_tokens" if self.plan.model.pack > 1 else "max_tokens"
            log.warning("max_cost has no room for a single request: raise it, or lower %s.", lower)
        self.stop.request("budget")

    def _ending(self) -> Ending | None:
        stats, stop = self.stats, self.stop
        if stop.error:
            return "trouble"
        if stop.reason in ("deadline", "budget") and stats.listing_done and not stats.left:
            return None  # it came when all was done
        return stop.reason or ("limit" if stats.not_asked else None)
