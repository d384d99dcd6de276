"""What a rehearsal means for the night: time, quota, money, and where it would stop. Pure."""

import math
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Self

from pipeline.emulator.stats import WARM_SECONDS, EndpointStats, Mark, Stats
from pipeline.engine.control.deadline import parse_deadline
from pipeline.engine.plan import Plan
from pipeline.engine.stats import EXIT_CODES, Ending, Summary
from pipeline.estimation import Estimate, ModelEstimate
from pipeline.rehearsal.scene import Scene

ENDINGS: dict[Ending, str] = {
    "budget": "--max-cost is spent.",
    "deadline": "the deadline comes, if it began now.",
    "interrupted": "the rehearsal was interrupted.",
    "terminated": "the rehearsal was terminated.",
}

LEAST_SECONDS = 5.0
"""Over less, a share of a quota says nothing: the throttle may catch up with a quarter of a second."""


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
        tokens = sum(each.admitted_tokens for each in counters)
        return cls(_pace(stats, admitted) or math.inf, tokens / admitted if admitted else 0.0)


@dataclass(frozen=True, slots=True)
class Use:
    """How much of an endpoint's quota was used, once the run had come up to its pace."""

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
    done: int
    """Images that the night would get through before it ends."""
    stopped: Ending | None = None
    """Why it would end before its listing does."""
    message: str | None = None
    exit_code: int = 0
    """What the night would exit with."""

    @property
    def whole(self) -> bool:
        """The night was rehearsed to its end."""
        return self.rehearsed == self.done

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values by the fields' names; money is a string, an unknown speed of the machine null."""
        document = asdict(self)
        document["cost_usd"] = None if self.cost_usd is None else f"{self.cost_usd:f}"
        if math.isinf(self.machine_images_per_second):
            document["machine_images_per_second"] = None
        return document


def forecast(
    plan: Plan,
    scene: Scene,
    machine: Machine,
    night: Estimate,
    stats: Stats,
    summary: Summary,
    speed: float,
    now: float,
) -> Rehearsal:
    """From what both sides say of the rehearsed images to the whole night, if it began `now` (by the wall clock)."""
    [row] = night.models
    left, counted = night.survey.left, summary.stats
    pace = _pace(stats, counted.recorded)
    end = _end(plan, night, summary, _seconds(stats), pace, now)
    share = end.done / left if left else 0.0
    whole = counted.recorded == end.done
    return Rehearsal(
        model=plan.asked,
        images=left,
        rehearsed=counted.recorded,
        speed=speed,
        seconds=_seconds(stats) + ((end.done - counted.recorded) / pace if pace else 0.0),
        images_per_second=pace,
        uses=tuple(use for name, each in stats.endpoints.items() if (use := _use(scene, name, each))),
        requests=stats.requests,
        rate_limited=stats.rate_limited.total(),
        retries=dict(counted.retries),
        reasons=dict(counted.reasons),
        prompt_tokens=counted.prompt_tokens if whole else _part(row.prompt_tokens, share),
        completion_tokens=counted.completion_tokens if whole else round(row.output_tokens.expected * share),
        answer_tokens_from=row.output_from,
        answer_seconds=scene.answer_seconds,
        cost_usd=_cost(row, counted.cost_usd if whole else None, share),
        machine_images_per_second=machine.images_per_second,
        machine_bound=machine.images_per_second < scene.images_per_second(machine.tokens_each),
        done=end.done,
        stopped=end.stopped,
        message=end.message,
        exit_code=EXIT_CODES[end.stopped] if end.stopped else summary.exit_code,
    )


@dataclass(frozen=True, slots=True)
class _End:
    """How far the night would get."""

    done: int
    stopped: Ending | None = None
    message: str | None = None


def _end(plan: Plan, night: Estimate, summary: Summary, seconds: float, pace: float, now: float) -> _End:
    """The first of what ends it. `seconds`: of the part that was rehearsed."""
    left, recorded = night.survey.left, summary.stats.recorded
    if summary.stopped:
        return _End(recorded, summary.stopped, summary.message or ENDINGS.get(summary.stopped))
    ends = [_End(left, "limit", f"--limit {plan.run.limit} leaves more to do.") if night.survey.limited else _End(left)]
    [row] = night.models
    if plan.run.max_cost is not None and row.live_usd and row.live_usd.expected > plan.run.max_cost:
        ends.append(_End(int(left * plan.run.max_cost / row.live_usd.expected), "budget", ENDINGS["budget"]))
    if plan.run.deadline:
        rest = parse_deadline(plan.run.deadline, now) - now
        ends.append(_End(recorded + int((rest - seconds) * pace), "deadline", ENDINGS["deadline"]))
    return min(ends, key=lambda end: end.done)


def _part(tokens: int | None, share: float) -> int | None:
    return None if tokens is None else round(tokens * share)


def _cost(row: ModelEstimate, rehearsed: Decimal | None, share: float) -> Decimal | None:
    if row.live_usd is None:
        return None
    return row.live_usd.expected * Decimal(share) if rehearsed is None else rehearsed


def _use(scene: Scene, name: str, counters: EndpointStats) -> Use | None:
    options, steady = scene.endpoint(name), _steady(counters)
    if steady is None or steady[1].at - steady[0].at < LEAST_SECONDS:
        return None
    begin, end = steady
    minutes = (end.at - begin.at) / 60
    uses = [
        Use(name, f"{limit:,.10g} {kind} per minute", used / minutes / limit)
        for limit, used, kind in (
            (options.rpm, end.requests - begin.requests, "requests"),
            (options.tpm, end.tokens - begin.tokens, "tokens"),
        )
        if limit
    ]
    return max(uses, key=lambda use: use.share, default=None)


def _steady(counters: EndpointStats) -> tuple[Mark, Mark] | None:
    """From when the run had come up to its pace until the last request; from the first one when it was too short.

    A start takes as long for a rehearsal as for a night, but would weigh many times as much.
    """
    first, warm, last = counters.first, counters.warm, counters.last
    if first is None or last is None or last.at <= first.at:
        return None
    return (warm, last) if warm and last.at - warm.at > WARM_SECONDS else (first, last)


def _pace(stats: Stats, images: int) -> float:
    """Images per second, once the run has come up to its pace; requests that came twice are not images."""
    steady = [pair for each in stats.endpoints.values() if (pair := _steady(each))]
    admitted = sum(each.admitted for each in stats.endpoints.values())
    if not steady or not admitted:
        return 0.0
    seconds = max(end.at for _, end in steady) - min(begin.at for begin, _ in steady)
    return sum(end.requests - begin.requests for begin, end in steady) / seconds * images / admitted


def _seconds(stats: Stats) -> float:
    if stats.first_arrival is None or stats.last_answer is None:
        return 0.0
    return stats.last_answer - stats.first_arrival
