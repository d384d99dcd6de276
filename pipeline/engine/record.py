"""What happened to an image -> its row. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from pipeline.engine.asking.judging import PLAIN_TEXT, AnswerRules, Verdict, judge
from pipeline.engine.enhancing.telling import located
from pipeline.items import Answer, Failure, Grounding, Record, Reply, Request, Respondent, SourceImage, Unprepared


@dataclass(frozen=True, slots=True)
class Asked:
    """An image that went to the model."""

    request: Request
    answer: Answer


@dataclass(frozen=True, slots=True)
class Reused:
    """An image that need not be asked: the answer to the same content was paid for under another name."""

    request: Request
    original: Record
    at: datetime
    bits: int | None = None
    """How far the pictures are from each other, when they are only alike (`near`)."""


@dataclass(frozen=True, slots=True)
class RowContext:
    """What all rows of a run share."""

    run_id: str
    request_hash: str
    respondent: Respondent
    """Of images that nobody was asked about."""
    detail: str
    rules: AnswerRules = PLAIN_TEXT


NEAR_DUPLICATE = ("near_duplicate_of", "near_duplicate_bits")
"""In `metadata` of a row whose caption is that of a picture that looks alike: that one's key, and how far it is."""

Outcome = Asked | Reused | Unprepared


def to_record(outcome: Outcome, run: RowContext) -> Record:
    """The row of one image."""
    match outcome:
        case Asked():
            return _asked_row(outcome, run)
        case Reused():
            return _reused_row(outcome, run)
        case Unprepared():
            return _unprepared_row(outcome, run)


def is_reused(record: Record, run: RowContext) -> bool:
    """Whether the answer was paid for before: by another image of this run, or by an earlier run."""
    return record.mode == "reused" or record.run_id != run.run_id


def _unprepared_row(outcome: Unprepared, run: RowContext) -> Record:
    image, probe, failure = outcome.image, outcome.probe, outcome.failure
    return Record(
        key=image.key,
        uri=image.uri,
        source_version=image.version,
        status=failure.status,
        reason=failure.reason,
        message=failure.message,
        request_hash=run.request_hash,
        run_id=run.run_id,
        provider=run.respondent.provider,
        model=run.respondent.model,
        deployment=run.respondent.deployment,
        detail=run.detail,
        content_hash=outcome.content_hash,
        width=probe.width if probe else None,
        height=probe.height if probe else None,
        format=probe.format if probe else None,
        bytes=outcome.bytes if outcome.bytes is not None else image.bytes,
        duration=probe.duration if probe else image.duration,
        members=member_keys(image),
        metadata=image.metadata,
    )


def _reused_row(outcome: Reused, run: RowContext) -> Record:
    """The original's answer. Nothing was sent and nothing is owed, so sums over rows stay those of the bills."""
    request, original, image = outcome.request, outcome.original, outcome.request.image
    named = replace(
        original,
        key=image.key,
        uri=image.uri,
        source_version=image.version,
        content_hash=request.content_hash,
        width=request.probe.width if request.probe else None,
        height=request.probe.height if request.probe else None,
        format=request.probe.format if request.probe else None,
        bytes=request.original_bytes,
        duration=request.probe.duration if request.probe else image.duration,
        members=member_keys(image),
        metadata=_marked(image.metadata, original, outcome.bits),
    )
    if image.key == original.key:  # only its version changed: this row takes that one's place, with its cost
        return named
    return replace(
        named,
        mode="reused",
        run_id=run.run_id,
        sent_width=None,
        sent_height=None,
        sent_bytes=None,
        sent_format=None,
        predicted_prompt_tokens=None,
        predicted_image_tokens=None,
        prompt_tokens=0,
        completion_tokens=0,
        total_tokens=0,
        cached_tokens=0,
        reasoning_tokens=0,
        cost_usd=Decimal(0),
        price_date=None,
        attempts=0,
        latency_ms=None,
        queue_ms=None,
        started_at=outcome.at,
        finished_at=outcome.at,
    )


def member_keys(image: SourceImage) -> tuple[str, ...] | None:
    """Of the images that were asked about together; None for one that stands for itself."""
    return tuple(member.key for member in image.members) if image.members else None


def _marked(metadata: Mapping[str, str] | None, original: Record, bits: int | None) -> Mapping[str, str] | None:
    """With what the caption was really made of, when that is a picture that is only alike."""
    marks = {key: value for key, value in (original.metadata or {}).items() if key in NEAR_DUPLICATE}
    if bits is not None:
        marks = dict(zip(NEAR_DUPLICATE, (original.key, str(bits)), strict=True))
    return {**(metadata or {}), **marks} if marks else metadata


def _grounding(result: Reply | Failure, verdict: Verdict) -> tuple[Grounding, ...]:
    if isinstance(result, Failure) or not result.grounding:
        return ()
    return located(result.grounding, verdict.caption, result.caption)


def _asked_row(outcome: Asked, run: RowContext) -> Record:
    request, answer, result = outcome.request, outcome.answer, outcome.answer.outcome
    image, probe, sent, usage, asked = request.image, request.probe, request.sent, answer.usage, answer.respondent
    verdict = judge(result, run.rules)
    return Record(
        key=image.key,
        uri=image.uri,
        source_version=image.version,
        content_hash=request.content_hash,
        width=probe.width if probe else None,
        height=probe.height if probe else None,
        format=probe.format if probe else None,
        bytes=request.original_bytes,
        duration=probe.duration if probe else image.duration,
        members=member_keys(image),
        status=verdict.status,
        reason=verdict.reason,
        message=verdict.message,
        caption=verdict.caption,
        fields=verdict.fields,
        provider=asked.provider,
        model=asked.model,
        model_returned=result.model_returned,
        deployment=asked.deployment,
        detail=request.detail or run.detail,
        sent_width=sent.width,
        sent_height=sent.height,
        sent_bytes=sent.bytes,
        sent_format=sent.format,
        predicted_prompt_tokens=request.predicted_prompt_tokens,
        predicted_image_tokens=request.predicted_image_tokens,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=answer.cost_usd,
        price_date=answer.price_date,
        finish_reason=result.finish_reason,
        content_filter=result.content_filter,
        grounding=_grounding(result, verdict),
        attempts=answer.attempts,
        latency_ms=answer.latency_ms,
        queue_ms=answer.queue_ms,
        request_id=result.request_id,
        request_hash=run.request_hash,
        run_id=run.run_id,
        started_at=answer.started_at,
        finished_at=answer.finished_at,
        metadata=image.metadata,
    )
