"""What a rehearsal means for the night: time, quota, money, and where it would stop. Pure."""

import math
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Self

from pipeline.emulator.stats import EndpointStats, Stats
from pipeline.engine.plan import Plan
from pipeline.engine.stats import EXIT_CODES, Summary
from pipeline.estimation import Estimate
from pipeline.rehearsal.scene import Scene


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine can do when no quota holds it."""

    images_per_second: float
    """Read, prepared, sent and recorded; infinite when there were too few to tell."""
    tokens_each: float
    """What the provider counts a request for when it admits it."""

    @classmethod
    def measured(cls, stats: Stats) -> Self:
        """From a run without limits."""
        counters = stats.endpoints.values()
        admitted = sum(each.admitted for each in counters)
        seconds = _span(stats)
        return cls(
            (admitted - 1) / seconds if seconds > 0 and admitted > 1 else math.inf,
            sum(each.admitted_tokens for each in counters) / admitted if admitted else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Use:
    """How much of an endpoint's quota was used from its first to its last request."""

    endpoint: str
    limit: str
    """The one that was nearest: `300 requests per minute`."""
    share: float


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the night would take. What was not rehearsed follows from the pace and the estimate of the whole listing."""

    model: str
    images: int
    """That the night would ask."""
    rehearsed: int
    speed: float
    seconds: float
    """Of the night, from the first request to the last answer."""
    images_per_second: float
    uses: tuple[Use, ...]
    requests: int
    """Of the rehearsed images, retries included."""
    rate_limited: int
    retries: dict[str, int]
    reasons: dict[str, int]
    """Why rehearsed images got no caption."""
    prompt_tokens: int | None
    """Of the night; None: unknown."""
    completion_tokens: int
    answer_tokens_from: str
    answer_seconds: float
    cost_usd: Decimal | None
    machine_images_per_second: float
    machine_bound: bool
    """This machine is slower than the quota."""
    stopped: str | None = None
    """Why the night would end before its listing does."""
    message: str | None = None
    exit_code: int = 0
    """What the night would exit with."""

    @property
    def whole(self) -> bool:
        """Every image of the night was rehearsed."""
        return self.rehearsed == self.images

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values by the fields' names; money is a string, an unknown speed of the machine null."""
        document = asdict(self)
        document["cost_usd"] = None if self.cost_usd is None else f"{self.cost_usd:f}"
        if math.isinf(self.machine_images_per_second):
            document["machine_images_per_second"] = None
        return document


def forecast(
    plan: Plan, scene: Scene, machine: Machine, night: Estimate, stats: Stats, summary: Summary, speed: float
) -> Rehearsal:
    """From what both sides say of the rehearsed images to the whole night."""
    [row] = night.models
    left, rehearsed = night.survey.left, summary.stats.recorded
    span = _span(stats)
    pace = (rehearsed - 1) / span if rehearsed > 1 and span > 0 else 0.0
    seconds = _seconds(stats) + ((left - rehearsed) / pace if pace else 0.0)
    whole = rehearsed == left
    stopped, message, exit_code = _ending(plan, night, summary)
    return Rehearsal(
        model=plan.model.name,
        images=left,
        rehearsed=rehearsed,
        speed=speed,
        seconds=seconds,
        images_per_second=pace,
        uses=tuple(use for name, each in stats.endpoints.items() if (use := _use(scene, name, each))),
        requests=stats.requests,
        rate_limited=stats.rate_limited.total(),
        retries=dict(summary.stats.retries),
        reasons=dict(summary.stats.reasons),
        prompt_tokens=summary.stats.prompt_tokens if whole else row.prompt_tokens,
        completion_tokens=summary.stats.completion_tokens if whole else row.output_tokens.expected,
        answer_tokens_from=row.output_from,
        answer_seconds=scene.answer_seconds,
        cost_usd=_cost(night, summary, whole),
        machine_images_per_second=machine.images_per_second,
        machine_bound=machine.images_per_second < scene.images_per_second(machine.tokens_each),
        stopped=stopped,
        message=message,
        exit_code=exit_code,
    )


def _cost(night: Estimate, summary: Summary, whole: bool) -> Decimal | None:
    [row] = night.models
    if row.live_usd is None:
        return None
    return summary.stats.cost_usd if whole else row.live_usd.expected


def _ending(plan: Plan, night: Estimate, summary: Summary) -> tuple[str | None, str | None, int]:
    if summary.stopped:
        return summary.stopped, summary.message, summary.exit_code
    if night.survey.limited:
        return "limit", f"--limit {plan.run.limit} leaves more to do.", EXIT_CODES["limit"]
    return None, None, summary.exit_code


def _use(scene: Scene, name: str, counters: EndpointStats) -> Use | None:
    options = scene.endpoint(name)
    if counters.admitted < 2 or counters.first_admitted is None or counters.last_admitted is None:
        return None
    minutes = (counters.last_admitted - counters.first_admitted) / 60
    # What left last is paid off after this time.
    requests, tokens = counters.admitted - 1, counters.admitted_tokens - counters.last_tokens
    uses = [
        Use(name, f"{limit:,.10g} {kind} per minute", used / minutes / limit)
        for limit, used, kind in ((options.rpm, requests, "requests"), (options.tpm, tokens, "tokens"))
        if limit and minutes > 0
    ]
    return max(uses, key=lambda use: use.share, default=None)


def _span(stats: Stats) -> float:
    """Seconds from the first admitted request to the last."""
    first = [each.first_admitted for each in stats.endpoints.values() if each.first_admitted is not None]
    last = [each.last_admitted for each in stats.endpoints.values() if each.last_admitted is not None]
    return max(last) - min(first) if first and last else 0.0


def _seconds(stats: Stats) -> float:
    if stats.first_arrival is None or stats.last_answer is None:
        return 0.0
    return stats.last_answer - stats.first_arrival
