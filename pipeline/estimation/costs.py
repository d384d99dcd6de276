"""What one model would take for a surveyed listing: tokens, dollars, hours. Pure but for the tables it reads."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.estimation.survey import Survey
from pipeline.items import Usage
from pipeline.models import Model, Price, best_dimensions, find_price, prompt_tokens

CONFIDENCE_95 = 1.96
CHARACTERS_PER_TOKEN = 4
"""Of English, for models whose vocabulary is not known here."""
BYTES_PER_PIXEL = 0.13
"""Of a photograph as JPEG at quality 85: 97 KiB at 1024x768."""
# What a prompt asks for -> tokens of a usual answer; the first that matches counts.
ANSWER_TOKENS = (
    (re.compile(r"\b(tags?|keywords?|labels?)\b", re.I), 40),
    (re.compile(r"\b(alt|alternative)[ -]text\b|\bone\b[\w ]{0,20}\bsentence|\bshort\b|\bbrief", re.I), 30),
    (re.compile(r"\btwo\b[\w ]{0,20}\bsentences", re.I), 55),
    (re.compile(r"\b(detail(ed)?|dense|long|thorough|paragraphs?|everything)\b", re.I), 200),
)
USUAL_ANSWER_TOKENS = 75


@dataclass(frozen=True, slots=True)
class Range:
    """Low, expected and high; `high` is never passed, `low` is what short answers would cost."""

    low: Decimal
    expected: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """What one model would take for all images left. None: unknown, never 0."""

    model: str
    image_tokens: int | None
    image_tokens_margin: int
    """Half width of the 95 % interval when the listing was sampled; 0 when every header was read."""
    text_tokens: int
    text_tokens_exact: bool
    """False: the model's vocabulary is not known here, four characters are taken for a token."""
    output_tokens: tuple[int, int, int]
    """Low, expected, high for all images; high is max_tokens for each."""
    output_from: str
    live: Range | None
    batch: Range | None
    price_source: str | None
    hours: float | None
    """At the given limits, if they alone decide; None when none was given."""
    saved_tokens: int | None
    """Image tokens that the resize policy saves against sending the originals."""
    saved_usd: Decimal | None
    sent_bytes: int
    """About what will be uploaded, before base64."""


def estimate_model(
    name: str,
    model: Model,
    options: ModelOptions,
    limits: LimitOptions,
    survey: Survey,
    history: Sequence[int] | None,
    today: date,
) -> ModelEstimate:
    tokens = _TokenSums.of(model, options, survey)
    text, exact = _text_tokens(model, options)
    low, expected, source = _answer_tokens(options, history)
    answers = (low, expected, options.max_tokens)
    live_price = find_price(model, today)
    batch_price = find_price(model, today, mode="batch")
    saved = tokens.original - tokens.sent if tokens.sent is not None and tokens.original is not None else None
    return ModelEstimate(
        model=name,
        image_tokens=tokens.sent,
        image_tokens_margin=tokens.margin,
        text_tokens=text * survey.images,
        text_tokens_exact=exact,
        output_tokens=(low * survey.images, expected * survey.images, options.max_tokens * survey.images),
        output_from=source,
        live=_range(live_price, tokens, text, answers, survey.scale),
        batch=_range(batch_price, tokens, text, answers, survey.scale),
        price_source=live_price.source if live_price else None,
        hours=_hours(survey.images, tokens.sent, text + options.max_tokens, limits),
        saved_tokens=saved,
        saved_usd=saved * live_price.base.input if saved is not None and live_price else None,
        sent_bytes=tokens.bytes,
    )


@dataclass(frozen=True, slots=True)
class _TokenSums:
    """Image tokens of all images left, extrapolated from those probed."""

    by_tokens: Counter[int]
    """Tokens of one image -> images probed."""
    sent: int | None
    original: int | None
    margin: int
    bytes: int

    @classmethod
    def of(cls, model: Model, options: ModelOptions, survey: Survey) -> "_TokenSums":
        by_tokens: Counter[int] = Counter()
        original = pixels = passed = 0
        known = True
        for (width, height), count in survey.sizes.items():
            policy, shrink = options.image_policy, options.max_shrink
            size = best_dimensions(model, width, height, options.detail, policy, shrink)
            tokens = model.image_tokens(*size, options.detail)
            before = model.image_tokens(width, height, options.detail)
            if tokens is None or before is None:
                known = False
            else:
                by_tokens[tokens] += count
                original += before * count
            if size == (width, height):
                passed += count
            else:
                pixels += size[0] * size[1] * count
        mean_bytes = survey.bytes / survey.probed if survey.probed else 0.0
        sent_bytes = min(survey.bytes, pixels * BYTES_PER_PIXEL + passed * mean_bytes)
        total = sum(tokens * count for tokens, count in by_tokens.items())
        return cls(
            by_tokens,
            round(total * survey.scale) if known else None,
            round(original * survey.scale) if known else None,
            _margin(by_tokens, survey),
            round(sent_bytes * survey.scale),
        )


def _margin(by_tokens: Counter[int], survey: Survey) -> int:
    """Half the width of the 95 % interval of a total that was extrapolated from a sample without replacement.

    An unreadable image counts as one of no tokens, so that the uncertainty of their number is in it.
    """
    looked_at, left = survey.looked_at, survey.left
    if not survey.sampled or looked_at < 2:
        return 0
    mean = sum(tokens * count for tokens, count in by_tokens.items()) / looked_at
    squares = sum((tokens - mean) ** 2 * count for tokens, count in by_tokens.items())
    variance = (squares + mean**2 * survey.unreadable.total()) / (looked_at - 1)
    finite = (left - looked_at) / (left - 1)
    return round(CONFIDENCE_95 * left * math.sqrt(variance / looked_at * finite))


def _text_tokens(model: Model, options: ModelOptions) -> tuple[int, bool]:
    """Prompt tokens beside the image's, for one request; whether they are exact."""
    exact = prompt_tokens(model, options.system, options.prompt, (0,))
    if exact is not None:
        return exact, True
    return math.ceil(len(options.system + options.prompt) / CHARACTERS_PER_TOKEN), False


def _answer_tokens(options: ModelOptions, history: Sequence[int] | None) -> tuple[int, int, str]:
    """Tokens of a short and of a usual answer, and how we know."""
    if history:
        ordered = sorted(history)
        mean = round(sum(ordered) / len(ordered))
        return ordered[len(ordered) // 10], mean, f"the {len(ordered)} answers already in the output"
    usual = next((n for words, n in ANSWER_TOKENS if words.search(options.prompt)), USUAL_ANSWER_TOKENS)
    usual = min(usual, options.max_tokens)
    return math.ceil(usual * 0.6), usual, "the kind of prompt"


def _range(
    price: Price | None, tokens: _TokenSums, text: int, answers: tuple[int, int, int], scale: float
) -> Range | None:
    if price is None or tokens.sent is None:
        return None

    def total(answer: int) -> Decimal:
        # Request by request, as bills are: a price may have tiers by the prompt's length.
        cost = Decimal(0)
        for image, count in tokens.by_tokens.items():
            one = price.cost(Usage(prompt_tokens=image + text, completion_tokens=answer))
            cost += (one or Decimal(0)) * count
        return cost * Decimal(scale)

    return Range(*(total(answer) for answer in answers))


def _hours(images: int, image_tokens: int | None, other_tokens: int, limits: LimitOptions) -> float | None:
    """What the limits alone allow; each request counts with its largest answer, as providers count it at admission."""
    minutes = []
    if limits.rpm:
        minutes.append(images / limits.rpm)
    if limits.tpm and image_tokens is not None:
        minutes.append((image_tokens + images * other_tokens) / limits.tpm)
    return max(minutes) / 60 if minutes else None
