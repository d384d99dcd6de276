"""The sizes of a survey as arrays, and what a policy makes of them. Knows models and pixels, no price.

Where many images have a size of their own, an estimate would take its time here: 0.3 us an image and model, against 3
to 10 for asking `best_dimensions` about each.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.estimation.survey import Survey
from pipeline.models import Model, best_dimensions, fits_array, image_tokens_array, parse_policy

Ints = NDArray[np.int64]

BYTES_PER_PIXEL = 0.13
"""Of a photograph as JPEG at quality 85: 97 KiB at 1024x768."""


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """A row for each class of sizes in a survey."""

    widths: Ints
    heights: Ints
    images: Ints
    bytes: Ints
    """Of all files of the class."""
    as_they_are: NDArray[np.bool_]
    """Whether they are sent byte for byte where they need not be shrunk."""

    @classmethod
    def of(cls, survey: Survey) -> "Sizes":
        kinds = np.array(list(survey.sizes), np.int64).reshape(-1, 3)
        return cls(
            kinds[:, 0],
            kinds[:, 1],
            np.array(list(survey.sizes.values()), np.int64),
            np.array([survey.bytes[kind] for kind in survey.sizes], np.int64),
            kinds[:, 2].astype(np.bool_),
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent of the images probed, under one policy."""

    by_tokens: dict[int, int]
    """Tokens of an image -> images; empty when the model's rule is unknown."""
    tokens: int | None
    bytes: float
    """About; before base64."""


def sent_under(policy: str, sizes: Sizes, model: Model, detail: str, max_shrink: float) -> Sent:
    """What `policy` makes of `sizes` for `model`."""
    widths, heights = _dimensions(policy, sizes, model, detail, max_shrink)
    unchanged = sizes.as_they_are & (widths == sizes.widths) & (heights == sizes.heights)
    encoded = widths * heights * sizes.images * BYTES_PER_PIXEL
    sent_bytes = float(np.where(unchanged, sizes.bytes, encoded).sum())
    if not is_countable(model, detail):
        return Sent({}, None, sent_bytes)
    tokens, place = np.unique(image_tokens_array(model, widths, heights, detail), return_inverse=True)
    images = np.bincount(place, sizes.images, len(tokens)).astype(np.int64)
    return Sent(dict(zip(tokens.tolist(), images.tolist(), strict=True)), int((tokens * images).sum()), sent_bytes)


def is_countable(model: Model, detail: str) -> bool:
    """Whether it is known how the model counts image tokens."""
    return model.image_tokens(1, 1, detail) is not None


def _dimensions(policy: str, sizes: Sizes, model: Model, detail: str, max_shrink: float) -> tuple[Ints, Ints]:
    """`best_dimensions` of every size; it is asked only about those that may change."""
    widths, heights = sizes.widths, sizes.heights
    kind, budget = parse_policy(policy)
    if kind == "original":
        return widths, heights
    open_ = ~fits_array(model, widths, heights, detail)
    if kind != "optimal" and is_countable(model, detail):
        # Neither economy nor a budget touches an image that costs no more than the least, or than the budget.
        least = image_tokens_array(model, [1], [1], detail)[0] if kind == "economy" else budget
        open_ |= image_tokens_array(model, widths, heights, detail) > least
    widths, heights = widths.copy(), heights.copy()
    for place in np.flatnonzero(open_).tolist():
        widths[place], heights[place] = best_dimensions(
            model, int(widths[place]), int(heights[place]), detail, policy, max_shrink
        )
    return widths, heights
