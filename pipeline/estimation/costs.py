"""What one model would take for a surveyed listing: tokens, dollars, hours. Pure but for the tables it reads."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import chain
from typing import Literal

from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import Form
from pipeline.api.structured.counting import CHARACTERS_PER_TOKEN, expected_form, guessed_text_tokens, request_tokens
from pipeline.api.vision.ways import Way, fees_of
from pipeline.estimation.packs import ENTRY_TOKENS, Packs, plan_packs
from pipeline.estimation.result import ModelEstimate, Range
from pipeline.estimation.sizes import Sent, Sizes, is_countable, sent_under
from pipeline.estimation.survey import Survey
from pipeline.estimation.videos import videos_under
from pipeline.items import Usage
from pipeline.models import FeeName, Model, Price, find_fee, find_price, text_tokens
from pipeline.presets import usual_answer_tokens

CONFIDENCE_95 = 1.96
NANODOLLAR = Decimal("1e-9")
MODES: tuple[Literal["live", "batch"], ...] = ("live", "batch")
FOUND_TOKENS = 60
"""What text or objects found in an image add to its prompt: a line that explains (25) and about three finds of 12."""
# What a prompt asks for -> tokens of a usual answer; the first that matches counts.
ANSWER_TOKENS = (
    (re.compile(r"\bone or two\b[\w ]{0,20}\bsentences", re.I), 45),
    (re.compile(r"\b(tags?|keywords?|labels?)\b", re.I), 40),
    (re.compile(r"\b(alt|alternative)[ -]text\b|\bone\b[\w ]{0,20}\bsentence|\bshort\b|\bbrief", re.I), 30),
    (re.compile(r"\btwo\b[\w ]{0,20}\bsentences", re.I), 55),
    (re.compile(r"\b(detail(ed)?|dense|long|thorough|paragraphs?|everything)\b", re.I), 200),
)
USUAL_ANSWER_TOKENS = 75
PROPERTY_TOKENS = 8
"""Name, quotes and a short value of a property, in an answer by a schema."""
REASONING_TOKENS = 250
"""What a model that thinks first spends on it, unseen, before it describes a picture. Nobody publishes it; users report
129 for a short chat (github vercel/ai-elements #120) and answers left empty by limits of 100 to 500 (jsboige/CoursIA
#3663). Answers in OUT tell the truth for a prompt."""


@dataclass(frozen=True, slots=True)
class History:
    """What OUT knows of the same request."""

    answers: Sequence[int] = ()
    """Completion tokens of earlier answers to the same prompt; reasoning is in them."""
    other_rows: int = 0
    """Rows that another request made."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Tokens of one answer."""

    low: int
    expected: int
    high: int
    source: str


def estimate_model(
    name: str,
    model: Model,
    options: ModelOptions,
    limits: LimitOptions,
    survey: Survey,
    sizes: Sizes,
    history: History,
    today: date,
    with_economy: bool = False,
    way: Way | None = None,
    frames: int = 1,
) -> ModelEstimate:
    """Price the images of `survey`, whose `sizes` these are. `with_economy`: also count what economy would take. `way`:
    who finds text and objects in them first. `frames`: of a video, at most.
    """
    if model.provider == "builtin":
        return _free(name, survey)
    images, scale = survey.images, survey.scale

    def under(policy: str) -> Sent:
        sent = sent_under(policy, sizes, model, options.image_detail, options.max_shrink)
        return sent.plus(videos_under(policy, survey.videos, model, options, frames)) if survey.videos else sent

    sent = under(options.image_policy)
    economy = under("economy").tokens if with_economy else None
    form = expected_form(model, options.api_version)
    alone, exact = _text_tokens(model, options, form, survey.prompts)
    inexact = None if exact else _why_inexact(bool(survey.prompts), _schema_is_sent(options, form))
    told = found_tokens(way, options.enhance)
    alone, exact = alone + told, exact and not told
    several = min(images, round((survey.groups.total() + survey.videos.total()) * scale))
    packs = plan_packs(options, model, form, images, alone, one_by_one=images if survey.prompts else several)
    labels, exact_labels = _label_tokens(model, survey)
    packs, exact = replace(packs, text_tokens=packs.text_tokens + labels), exact and exact_labels
    text = packs.text_of_an_image(images)
    answers = answers_of(model, options, history.answers)
    services = fees_of(way, options.enhance)
    live, batch = (find_price(model, today, mode=mode, services=services) for mode in MODES)
    original = under("original").tokens
    saved = None if original is None or sent.tokens is None else original - sent.tokens
    image_tokens = None if sent.tokens is None else round(sent.tokens * scale)
    return ModelEstimate(
        model=name,
        images=images,
        done=survey.done,
        image_tokens=image_tokens,
        requests=packs.requests,
        text_tokens=packs.text_tokens,
        text_tokens_exact=exact,
        prompt_tokens=None if image_tokens is None else image_tokens + packs.text_tokens,
        output_tokens=Range(answers.low * images, answers.expected * images, answers.high * images),
        output_from=answers.source,
        live_usd=_range(live, sent, packs, images, answers, scale),
        batch_usd=_range(batch, sent, packs, images, answers, scale),
        price_source=live.source if live else None,
        hours=_hours(images, image_tokens, packs, answers, limits, way),
        saved_tokens=None if saved is None else round(saved * scale),
        saved_usd=_nano(saved * live.base.input * Decimal(scale)) if saved is not None and live else None,
        original_bytes=survey.total_bytes,
        sent_bytes=round(sent.bytes * scale),
        economy_tokens=None if economy is None else round(economy * scale),
        margin_tokens=round(_margin(sent.by_tokens.items(), survey)),
        margin_usd=_margin_usd(live, sent, text, answers, survey),
        notes=(
            *_notes(model, options, history, answers, packs, inexact, live, today),
            *_enhanced_notes(way, told, services, today),
            *_notes_on_videos(survey, options, frames),
        ),
    )


def found_tokens(way: Way | None, enhance: Sequence[str]) -> int:
    """Prompt tokens of an image for what is found in it; Azure OpenAI's own enhancements were not seen to add any
    (the guide's bills: 1156 without, 816 with them, each 51 above its image).
    """
    return FOUND_TOKENS * len(enhance) if way in ("image-analysis", "rapidocr") else 0


def _margin(values: Iterable[tuple[float, int]], survey: Survey) -> float:
    """Half the width of the 95 % interval of a total over all images left, from (value, images) of those looked at.

    The sample is drawn without replacement. An unreadable image counts as one of value 0, so that the uncertainty of
    their number is in it.
    """
    looked_at, left = survey.looked_at, survey.left
    if looked_at < 2 or not survey.sampled:
        return 0.0
    pairs = [*values, (0.0, survey.unreadable.total())]
    mean = sum(value * count for value, count in pairs) / looked_at
    variance = sum((value - mean) ** 2 * count for value, count in pairs) / (looked_at - 1)
    return CONFIDENCE_95 * left * math.sqrt(variance / looked_at * (left - looked_at) / (left - 1))


def _margin_usd(price: Price | None, sent: Sent, text: int, answers: Answers, survey: Survey) -> Decimal | None:
    if price is None or sent.tokens is None:
        return None
    costs = [(float(_cost(price, tokens + text, answers.expected)), count) for tokens, count in sent.by_tokens.items()]
    return _nano(Decimal(_margin(costs, survey)))


def _text_tokens(model: Model, options: ModelOptions, form: Form, prompts: Sequence[str]) -> tuple[int, bool]:
    """Prompt tokens beside the image's, for one request; whether they are exact.

    `prompts`: of images that have their own; then it is their mean.
    """
    counts = [_tokens_with(model, options, form, prompt) for prompt in prompts or [options.prompt]]
    exact = not prompts and not _schema_is_sent(options, form) and all(is_exact for _, is_exact in counts)
    return math.ceil(sum(count for count, _ in counts) / len(counts)), exact


def _label_tokens(model: Model, survey: Survey) -> tuple[int, bool]:
    """Of what stands before the images of groups; whether they are exact."""
    groups, known = survey.groups.total(), len(survey.labels)
    if not groups:
        return 0, True
    total, exact = 0, known == groups and not survey.sampled
    for label in chain.from_iterable(survey.labels):
        tokens = text_tokens(model, label)
        exact = exact and tokens is not None
        total += math.ceil(len(label) / CHARACTERS_PER_TOKEN) if tokens is None else tokens
    return round(total * groups / known * survey.scale), exact


def _tokens_with(model: Model, options: ModelOptions, form: Form, prompt: str) -> tuple[int, bool]:
    exact = request_tokens(options, model, form, (0,), prompt)
    return (guessed_text_tokens(options, form, prompt), False) if exact is None else (exact, True)


def _schema_is_sent(options: ModelOptions, form: Form) -> bool:
    """Whether the model is shown a schema in a manner that nobody published."""
    return options.schema is not None and form.rung == "json_schema"


def answers_of(model: Model, options: ModelOptions, history: Sequence[int]) -> Answers:
    """As earlier answers to the same prompt were, else as such a prompt is usually answered."""
    most = options.max_tokens
    if history:
        ordered = sorted(history)
        mean = round(sum(ordered) / len(ordered))
        source = f"{len(ordered):,} answers in the output"
        return Answers(min(ordered[len(ordered) // 10], most), min(mean, most), most, source)
    usual = usual_answer_tokens(options.prompt)
    if usual is None:
        usual = next((tokens for words, tokens in ANSWER_TOKENS if words.search(options.prompt)), USUAL_ANSWER_TOKENS)
        usual += PROPERTY_TOKENS * (options.schema or "").count('"type"')
    around = ENTRY_TOKENS if options.pack > 1 else 0
    low = math.ceil(usual * 0.6) + around
    expected = usual + around + (REASONING_TOKENS if model.reasoning else 0)
    return Answers(min(low, most), min(expected, most), most, "guessed from the kind of prompt")


def _cost(price: Price, prompt: int, completion: int) -> Decimal:
    cost = price.cost(Usage(prompt_tokens=prompt, completion_tokens=completion))
    assert cost is not None, "both counts are given"
    return cost


def _range(
    price: Price | None, sent: Sent, packs: Packs, images: int, answers: Answers, scale: float
) -> Range[Decimal] | None:
    if price is None or sent.tokens is None:
        return None
    text = packs.text_of_an_image(images)
    rounded_off = (packs.text_tokens - images * text) * price.base.input

    def total(answer: int) -> Decimal:
        # Image by image, as bills are: a price may have tiers by the prompt's length.
        costs = (_cost(price, tokens + text, answer) * count for tokens, count in sent.by_tokens.items())
        return _nano(sum(costs, Decimal(0)) * Decimal(scale) + rounded_off)

    return Range(total(answers.low), total(answers.expected), total(answers.high))


def _nano(usd: Decimal) -> Decimal:
    return usd.quantize(NANODOLLAR)


def _hours(
    images: int, image_tokens: int | None, packs: Packs, answers: Answers, limits: LimitOptions, way: Way | None
) -> Range[float] | None:
    """What the limits alone allow."""
    looking = images / limits.vision_rpm if way == "image-analysis" else 0.0
    if not limits.rpm and (not limits.tpm or image_tokens is None):
        return None

    def at(answer: int) -> float:
        minutes = max(looking, packs.requests / limits.rpm if limits.rpm else 0.0)
        if limits.tpm and image_tokens is not None:
            minutes = max(minutes, (image_tokens + packs.text_tokens + images * answer) / limits.tpm)
        return minutes / 60

    return Range(at(answers.low), at(answers.expected), at(answers.high))


def _notes(
    model: Model,
    options: ModelOptions,
    history: History,
    answers: Answers,
    packs: Packs,
    inexact_text: str | None,
    price: Price | None,
    today: date,
) -> Iterable[str]:
    if model.responses_only:
        yield "served by the Responses API alone, which Nightcap does not speak; choose another model"
    if model.retired and model.retired <= today:
        yield f"retired on {model.retired}"
    if model.reasoning and not history.answers:
        needed = answers.low + REASONING_TOKENS
        short = f", so max_tokens = {options.max_tokens} may leave answers empty" if options.max_tokens < needed else ""
        yield f"reasoning is billed as answer; {REASONING_TOKENS} tokens an image are expected{short}"
    if history.other_rows:
        yield other_rows_note(history)
    if packs.saved_tokens:
        takes = f"{abs(packs.saved_tokens):,} prompt tokens {'fewer' if packs.saved_tokens > 0 else 'more'}"
        yield f"packs of {options.pack} take {packs.requests:,} requests, and {takes} than images asked alone"
    if inexact_text:
        yield f"its text tokens are approximate (~), because {inexact_text}"
    if not is_countable(model, options.image_detail):
        yield "how it counts image tokens is not known, so its cost is not either"
    elif price is None:
        yield "its price is not known"


def other_rows_note(history: History) -> str:
    return (
        f"{history.other_rows:,} rows of the output were made by another request; `nightcap run` asks for them"
        " again only with --replace"
    )


def _enhanced_notes(way: Way | None, told: int, services: Sequence[FeeName], today: date) -> Iterable[str]:
    if told:
        yield f"its text tokens are approximate (~): {told} an image were taken for what {way} finds in it"
    if services:
        each = sum((fee.usd for name in services if (fee := find_fee(name, today))), Decimal(0))
        yield f"${each.normalize():f} of an image's cost are for what {way} finds in it"


def _notes_on_videos(survey: Survey, options: ModelOptions, frames: int) -> Iterable[str]:
    if not survey.videos:
        return
    detail = options.frame_detail
    yield f"up to {frames} frames of a video are sent at detail {detail}; image tokens hold their times too"
    if frames < options.frames:
        yield f"no more than {frames} images are taken in a request"
    if assumed := sum(images for video, images in survey.videos.items() if video.assumed):
        yield f"{assumed:,} videos are far away and not looked at: taken for 1920x1080"


def _why_inexact(own_prompts: bool, schema_sent: bool) -> str:
    if own_prompts:
        return "images have prompts of their own"
    return "nobody published how a schema is counted" if schema_sent else "its vocabulary is not known here"


def _free(name: str, survey: Survey) -> ModelEstimate:
    """The offline describer: no tokens, no bill."""
    nothing = Range(Decimal(0), Decimal(0), Decimal(0))
    return ModelEstimate(
        model=name,
        images=survey.images,
        done=survey.done,
        image_tokens=0,
        requests=0,
        text_tokens=0,
        text_tokens_exact=True,
        prompt_tokens=0,
        output_tokens=Range(0, 0, 0),
        output_from="",
        live_usd=nothing,
        batch_usd=None,
        price_source="runs on this machine",
        hours=None,
        saved_tokens=0,
        saved_usd=Decimal(0),
        original_bytes=survey.total_bytes,
        sent_bytes=survey.total_bytes,
        economy_tokens=None,
        notes=("runs on this machine: nothing is sent and nothing is billed",),
    )
