"""The sizes of a survey as arrays, and what a policy makes of them. Knows models and pixels, no price.

Where many images have a size of their own, an estimate would take its time here: 0.3 us an image and model, against 3
to 10 for asking `best_dimensions` about each.
"""

from collections import Counter
from collections.abc import Sequence
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
    groups: Sequence[tuple[Ints, int]] = ()
    """Of images that are asked about together: their rows here, and how many such groups there are."""

    @classmethod
    def of(cls, survey: Survey) -> "Sizes":
        kinds = np.array(list(survey.sizes), np.int64).reshape(-1, 3)
        row_of = {kind: row for row, kind in enumerate(survey.sizes)}
        return cls(
            kinds[:, 0],
            kinds[:, 1],
            np.array(list(survey.sizes.values()), np.int64),
            np.array([survey.bytes[kind] for kind in survey.sizes], np.int64),
            kinds[:, 2].astype(np.bool_),
            [(np.array([row_of[kind] for kind in group]), count) for group, count in survey.groups.items()],
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent of the images probed, under one policy."""

    by_tokens: dict[int, int]
    """Image tokens of a request -> requests; empty when the model's rule is unknown."""
    tokens: int | None
    bytes: float
    """About; before base64."""

    def plus(self, other: "Sent") -> "Sent":
        tokens = None if self.tokens is None or other.tokens is None else self.tokens + other.tokens
        by_tokens = Counter(self.by_tokens) + Counter(other.by_tokens)
        return Sent({} if tokens is None else by_tokens, tokens, self.bytes + other.bytes)


def sent_under(policy: str, sizes: Sizes, model: Model, detail: str, max_shrink: float) -> Sent:
    """What `policy` makes of `sizes` for `model`."""
    widths, heights = _dimensions(policy, sizes, model, detail, max_shrink)
    unchanged = sizes.as_they_are & (widths == sizes.widths) & (heights == sizes.heights)
    encoded = widths * heights * sizes.images * BYTES_PER_PIXEL
    sent_bytes = float(np.where(unchanged, sizes.bytes, encoded).sum())
    if not is_countable(model, detail):
        return Sent({}, None, sent_bytes)
    tokens = image_tokens_array(model, widths, heights, detail)
    alone = sizes.images.copy()
    by_tokens: Counter[int] = Counter()
    for rows, count in sizes.groups:
        np.subtract.at(alone, rows, count)
        by_tokens[int(tokens[rows].sum())] += count
    distinct, place = np.unique(tokens, return_inverse=True)
    by_tokens.update(_counted(distinct, np.bincount(place, alone, len(distinct)).astype(np.int64)))
    return Sent(dict(by_tokens), int((tokens * sizes.images).sum()), sent_bytes)


def _counted(tokens: Ints, requests: Ints) -> dict[int, int]:
    return {each: count for each, count in zip(tokens.tolist(), requests.tolist(), strict=True) if count}


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
