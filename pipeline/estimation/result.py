"""What an estimate says, as values. `to_dict` is the stable form that other programs read."""

from collections import Counter
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pipeline.estimation.survey import Survey

Amount = TypeVar("Amount", int, float, Decimal)
_MEGAPIXELS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 12, 16, 24, 50, 100)


@dataclass(frozen=True, slots=True)
class Range(Generic[Amount]):
    """For all images: if answers are short, as they usually are, and if each is as long as max_tokens allows."""

    low: Amount
    expected: Amount
    high: Amount
    """Never passed."""


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """What one model would take for all images left. None: unknown, never 0."""

    model: str
    images: int
    """That it will be asked about."""
    done: int
    """Of those listed, finished in OUT by the same request; not counted."""
    image_tokens: int | None
    requests: int
    """That it takes; fewer than images where several share one."""
    text_tokens: int
    text_tokens_exact: bool
    """False: the model's vocabulary is not known here, four characters are taken for a token."""
    prompt_tokens: int | None
    """Of images and text together, as billed."""
    output_tokens: Range[int]
    output_from: str
    """How the length of answers is known."""
    live_usd: Range[Decimal] | None
    batch_usd: Range[Decimal] | None
    """By the Batch API."""
    price_source: str | None
    hours: Range[float] | None
    """At the rpm and tpm given, if they alone decide; None when neither was. High is for a provider that counts each
    request with its max_tokens, as Azure does, and not with its usage."""
    saved_tokens: int | None
    """Image tokens that the image policy saves against sending the originals."""
    saved_usd: Decimal | None
    original_bytes: int
    sent_bytes: int
    """About what will be uploaded, before base64."""
    economy_tokens: int | None
    """Image tokens under the policy `economy`; None where it was not asked."""
    margin_tokens: int = 0
    """Half the width of the 95 % interval of `image_tokens` when the listing was sampled; else 0."""
    margin_usd: Decimal | None = None
    """The same of `live_usd.expected`, for what the sample leaves open; the length of answers is in the range."""
    notes: tuple[str, ...] = ()
    """What else should be known before this is run, a sentence each."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job would take, model by model."""

    survey: Survey
    """Of the listing; where models differ in what is left, of the one that has most."""
    policy: str
    detail: str
    models: tuple[ModelEstimate, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values. Money is a string, because Decimal is exact and JSON numbers are not.

        listed           images in the listing, up to the job's limit
        limited          whether the listing goes on after that limit
        unreadable       {reason: images} that will be failed rows and cost nothing
        sampled          headers read, when not all were; then all numbers but `listed` are extrapolated
        bytes            of the files left
        sizes            [{"from_megapixels", "to_megapixels" (null: no end), "images"}], ascending, without gaps
        policy, detail   as asked
        models           a list of `ModelEstimate`, by its field names; ranges are {"low", "expected", "high"}
        """
        survey = self.survey
        return {
            "listed": survey.listed,
            "limited": survey.limited,
            "unreadable": {reason: round(count * survey.scale) for reason, count in survey.unreadable.items()},
            "sampled": survey.looked_at if survey.sampled else None,
            "bytes": survey.total_bytes,
            "sizes": [
                {"from_megapixels": low, "to_megapixels": high, "images": images}
                for low, high, images in histogram(survey)
            ],
            "policy": self.policy,
            "detail": self.detail,
            "models": [_plain(model) for model in self.models],
        }


def histogram(survey: Survey) -> list[tuple[float, float | None, int]]:
    """(above, up to, images) by megapixels, from the smallest class that is there to the largest."""
    counts: Counter[int] = Counter()
    for (width, height, _), count in survey.sizes.items():
        counts[sum(width * height > limit * 1e6 for limit in _MEGAPIXELS)] += count
    bounds = (0, *_MEGAPIXELS, None)
    return [
        (bounds[place] or 0, bounds[place + 1], round(counts[place] * survey.scale))
        for place in range(min(counts, default=0), max(counts, default=-1) + 1)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, ModelEstimate | Range):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return f"{value:f}" if isinstance(value, Decimal) else value
