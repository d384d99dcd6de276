"""What videos of an index will cost: they are counted, and each is what the service makes of any. Nothing is read."""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal

from pipeline.api.prompts import own_prompts
from pipeline.estimation.costs import Answers, History, answers_of, other_rows_note
from pipeline.estimation.result import ModelEstimate, Range
from pipeline.estimation.survey import PROGRESS_IMAGES, IsDone, Survey
from pipeline.items import Usage
from pipeline.job import Job
from pipeline.models import TRANSCRIPT_TOKENS, Model, Price, find_fee, find_video_price, prompt_tokens, video_tokens
from pipeline.sources import Source

RETIRED = date(2025, 6, 30)
"""Of Azure AI Vision's Video Retrieval (its how-to)."""


def survey_index(
    source: Source, job: Job, is_done: IsDone | None, observer: Callable[[int], None] | None
) -> tuple[Survey, float]:
    """What is left to ask about, and its seconds as far as the listing says them."""
    survey, seconds = Survey(), 0.0
    for listed, image in enumerate(own_prompts(source.list(), job.model.prompt), start=1):
        if observer is not None and listed % PROGRESS_IMAGES == 0:
            observer(listed)
        done = is_done is not None and is_done(image)
        if not done and survey.left == job.run.limit:
            survey.limited = True
            break
        survey.listed += 1
        survey.done += done
        if done:
            continue
        if image.failure:
            survey.unreadable[image.failure.reason] += 1
            continue
        survey.probed += 1
        survey.bytes[0, 0, True] += image.bytes or 0
        seconds += image.duration or 0.0
        if image.prompt is not None:
            survey.prompts.append(image.prompt)
    return survey, seconds


def estimate_index(
    job: Job, model: Model, survey: Survey, seconds: float, history: History, today: date
) -> ModelEstimate:
    """Price the videos of `survey`."""
    options, count = job.model, survey.images
    text = _text_tokens(model, options.system, survey.prompts or [options.prompt])
    frames, answers = video_tokens(model), answers_of(model, options, history.answers)
    price = find_video_price(model, today, text)
    prompt = None if frames is None else frames + TRANSCRIPT_TOKENS + text
    return ModelEstimate(
        model=options.name,
        images=count,
        done=survey.done,
        image_tokens=None if frames is None else count * frames,
        requests=count,
        text_tokens=count * (text + TRANSCRIPT_TOKENS),
        text_tokens_exact=False,
        prompt_tokens=None if prompt is None else count * prompt,
        output_tokens=Range(count * answers.low, count * answers.expected, count * answers.high),
        output_from=answers.source,
        live_usd=_range(price, prompt, answers, count),
        batch_usd=None,
        price_source=price.source if price else None,
        hours=_hours(job, count, prompt, answers),
        saved_tokens=None,
        saved_usd=None,
        original_bytes=0,
        sent_bytes=0,
        economy_tokens=None,
        notes=tuple(_notes(history, price, seconds, bool(survey.prompts), today)),
    )


def _text_tokens(model: Model, system: str, prompts: Sequence[str]) -> int:
    """Of a question but for its video, on average."""
    counts = [prompt_tokens(model, system, prompt, (0,)) for prompt in prompts]
    known = [count for count in counts if count is not None]
    assert len(known) == len(counts), "the vocabulary of Azure's models is known"
    return math.ceil(sum(known) / len(known))


def _range(price: Price | None, prompt: int | None, answers: Answers, count: int) -> Range[Decimal] | None:
    if price is None or prompt is None:
        return None

    def total(answer: int) -> Decimal:
        cost = price.cost(Usage(prompt_tokens=prompt, completion_tokens=answer))
        assert cost is not None, "both counts are given"
        return cost * count

    return Range(total(answers.low), total(answers.expected), total(answers.high))


def _hours(job: Job, count: int, prompt: int | None, answers: Answers) -> Range[float] | None:
    rpm, tpm = job.limits.rpm, job.limits.tpm
    if not rpm and (not tpm or prompt is None):
        return None

    def at(answer: int) -> float:
        return count * max(1 / rpm if rpm else 0.0, (prompt + answer) / tpm if tpm and prompt else 0.0) / 60

    return Range(at(answers.low), at(answers.expected), at(answers.high))


def _notes(history: History, price: Price | None, seconds: float, own_prompts: bool, today: date) -> Iterator[str]:
    yield f"each is taken for 20 frames and a transcript of {TRANSCRIPT_TOKENS} tokens, as in Microsoft's example (~)"
    if price:
        yield f"${price.per_request.normalize():f} of a video's cost are for the search of its frames, not in its usage"
    if seconds and (fee := find_fee("video_indexing", today)):
        minutes = Decimal(str(seconds)) / 60
        yield f"their ingestion, {minutes:.1f} minutes, costs ${minutes * fee.usd:.2f} once beside this"
    if history.other_rows:
        yield other_rows_note(history)
    if own_prompts:
        yield "its text tokens are approximate (~), because videos have prompts of their own"
    if price is None:
        yield "its price is not known"
    if today >= RETIRED:
        yield f"Azure AI Vision's Video Retrieval was to be retired on {RETIRED}; --video captions video files today"
