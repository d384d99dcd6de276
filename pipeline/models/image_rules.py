"""How hosted families of models turn an image into tokens. Knows pixels and tokens, no model, file or price.

A rule answers three questions about an upright picture of `width` x `height` pixels:

    seen(width, height, detail)      the size that reaches the model after the server's own downscale
    tokens(width, height, detail)    the tokens that are billed
    trimmed(width, height, resized)  the next smaller size with a side on the grid of tiles or patches, for `economy`

`detail` is never `auto` here: the catalogue knows what each model makes of that. Sides are at most
65,535 px, which keeps the arithmetic exact: see `scaled`. The numbers and where they come from are in catalogue.toml;
the rules of the open models are in open_model_rules.py.
"""

from dataclasses import dataclass, replace
from math import isqrt
from typing import Protocol

Size = tuple[int, int]


class ImageRule(Protocol):
    """What every rule answers; see the top of this file."""

    def seen(self, width: int, height: int, detail: str) -> Size: ...

    def tokens(self, width: int, height: int, detail: str) -> int | None: ...

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None: ...


def scaled(side: int, numerator: int, denominator: int) -> int:
    """`side` * `numerator` / `denominator` px, rounded half to even, at least 1.

    Exact: Python divides two ints with one correct rounding, and a quotient that is not k + 1/2 lies at least
    1 / (2 * 65535) away from it, far more than the error. gpt-4.1 was billed so: 2049x513 becomes 2048x513 (512.75,
    8 tiles), 2050x513 becomes 2048x512 (512.4995, 4 tiles). int() gets the first wrong, ceil() the second.
    """
    return round(side * numerator / denominator) or 1


def fit(width: int, height: int, limit: int) -> Size:
    """The size scaled down, never up, until no side is longer than `limit` px."""
    if width >= height:
        return (width, height) if width <= limit else (limit, scaled(height, limit, width))
    return (width, height) if height <= limit else (scaled(width, limit, height), limit)


def fit_short(width: int, height: int, limit: int) -> Size:
    """The size scaled down, never up, until the shorter side is at most `limit` px."""
    if width <= height:
        return (width, height) if width <= limit else (limit, scaled(height, limit, width))
    return (width, height) if height <= limit else (scaled(width, limit, height), limit)


def fit_box(width: int, height: int, across: int, down: int) -> Size:
    """The size scaled down, never up, until it lies within `across` x `down` px."""
    if width <= across and height <= down:
        return width, height
    if width * down >= height * across:
        return across, scaled(height, across, width)
    return scaled(width, down, height), down


def cells(side: int, cell: int) -> int:
    """How many cells of `cell` px cover a side."""
    return -(-side // cell)


def trim_to_grid(width: int, height: int, cell: int, resized: bool) -> Size | None:
    """The largest smaller size of the same shape that has a side on the grid; None when both sides are within one cell.

    Also None for an image that was not `resized` and has a side on the grid: it counts as trimmed, or trimming twice
    would go on shrinking.
    """
    if not resized and (width % cell == 0 or height % cell == 0):
        return None
    across, down = (width - 1) // cell * cell, (height - 1) // cell * cell
    if across * height >= down * width:
        return (across, scaled(height, across, width)) if across else None
    return scaled(width, down, height), down


@dataclass(frozen=True, slots=True)
class TileRule:
    """OpenAI's 512 px tiles: fit into 2048x2048, then the short side to 768, then base + tiles. Never enlarged.

    The first step rounds to the nearest pixel (billed so, see `scaled`), the second rounds down (the guide says so).
    """

    base_tokens: int
    tile_tokens: int

    def seen(self, width: int, height: int, detail: str) -> Size:
        width, height = fit(width, height, 2048)
        if width <= 768 or height <= 768:
            return width, height
        return (768, height * 768 // width) if width <= height else (width * 768 // height, 768)

    def tokens(self, width: int, height: int, detail: str) -> int:
        if detail == "low":
            return self.base_tokens
        width, height = self.seen(width, height, detail)
        return self.base_tokens + self.tile_tokens * cells(width, 512) * cells(height, 512)

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return trim_to_grid(width, height, 512, resized)


@dataclass(frozen=True, slots=True)
class PatchLimits:
    """How large an image a patch model looks at; None: no limit."""

    patches: int | None = None
    side_px: int | None = None


NO_LIMITS = PatchLimits()
MAX_PATCHES = 30_000
"""OpenAI refuses an image of more patches where no budget would shrink it, so it must be shrunk before."""


@dataclass(frozen=True, slots=True)
class PatchRule:
    """OpenAI's 32 px patches: fit the longer side, then the patch budget, then the multiplier, rounded up.

    The first step rounds to the nearest pixel, the second rounds down. Where a vendor's table and published bills
    differ, `percent` and `high` are what was billed; `documented()` is the rule as the vendor printed it.
    """

    percent: int
    """Tokens per 100 patches: the multiplier as an integer, because a float product can end just above a
    whole number and round up one too many."""
    high: PatchLimits
    low: PatchLimits | None = None
    """None: as `high`. It can be more than `high`."""
    original: PatchLimits | None = None
    documented_percent: int | None = None
    documented_high: PatchLimits | None = None

    def limits(self, detail: str) -> PatchLimits:
        if detail == "low" and self.low:
            return self.low
        return self.original if detail == "original" and self.original else self.high

    def seen(self, width: int, height: int, detail: str) -> Size:
        limits = self.limits(detail)
        if limits.side_px:
            width, height = fit(width, height, limits.side_px)
        budget = limits.patches or MAX_PATCHES
        if cells(width, 32) * cells(height, 32) <= budget:
            return width, height
        # The vendor's formula scales by sqrt(budget / area) and then a little further, so that one side comes out as a
        # whole number of patches. Which side, and how many patches, follows from integers alone. The other side then
        # needs no more patches than its own square root allows, so the budget holds without a cap.
        across, down = isqrt(budget * width // height), isqrt(budget * height // width)
        if across * height <= down * width:
            return across * 32, height * across * 32 // width or 1
        return width * down * 32 // height or 1, down * 32

    def tokens(self, width: int, height: int, detail: str) -> int:
        if self.limits(detail) != NO_LIMITS:
            width, height = self.seen(width, height, detail)
        return -(-cells(width, 32) * cells(height, 32) * self.percent // 100)

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return trim_to_grid(width, height, 32, resized)

    def documented(self) -> "PatchRule":
        """The same rule with the multiplier and the budget that the vendor's guide states."""
        return replace(self, percent=self.documented_percent or self.percent, high=self.documented_high or self.high)


@dataclass(frozen=True, slots=True)
class ClaudeRule:
    """Anthropic's 28 px patches: the largest size within a side and a number of tokens, padded to whole patches."""

    max_side_px: int
    max_tokens: int

    def _fits(self, width: int, height: int) -> bool:
        across, down = cells(width, 28), cells(height, 28)
        return 28 * across <= self.max_side_px and 28 * down <= self.max_side_px and across * down <= self.max_tokens

    def seen(self, width: int, height: int, detail: str) -> Size:
        if self._fits(width, height):
            return width, height
        # As the vendor's reference code: bisect the longer side; the shorter one follows by a float division, which is
        # kept because a bill follows the code and not the real number.
        long, short = max(width, height), min(width, height)
        aspect = long / short
        low, high = 1, min(long, self.max_side_px + 1)
        while high - low > 1:
            middle = (low + high) // 2
            if self._fits(middle, round(middle / aspect) or 1):
                low = middle
            else:
                high = middle
        other = round(low / aspect) or 1
        return (low, other) if width >= height else (other, low)

    def tokens(self, width: int, height: int, detail: str) -> int:
        width, height = self.seen(width, height, detail)
        return cells(width, 28) * cells(height, 28)

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return trim_to_grid(width, height, 28, resized)


@dataclass(frozen=True, slots=True)
class CropRule:
    """Gemini 2: one crop up to 384 px, else square crops of two thirds of the short side, each shown as 768x768.

    The vendor calls the formula rough and does not say how it rounds. Above 384 px only the shape counts.
    """

    crop_tokens: int
    low_tokens: int
    medium_tokens: int

    def seen(self, width: int, height: int, detail: str) -> Size:
        # A short side of 1152 px makes crops of exactly 768 px; more is shrunk by the server.
        return fit_short(width, height, 1152)

    def tokens(self, width: int, height: int, detail: str) -> int:
        if detail == "low":
            return self.low_tokens
        if detail == "medium":
            return self.medium_tokens
        if width <= 384 and height <= 384:
            return self.crop_tokens
        crop = 2 * min(width, height) // 3 or 1
        return self.crop_tokens * cells(width, crop) * cells(height, crop)

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return None if width <= 384 and height <= 384 else fit(width, height, 384)


@dataclass(frozen=True, slots=True)
class ResolutionRule:
    """Gemini 3: a fixed number of tokens for each `media_resolution`, whatever the size."""

    low: int
    medium: int
    high: int
    ultra_high: int

    def seen(self, width: int, height: int, detail: str) -> Size:
        return fit(width, height, 2048)

    def tokens(self, width: int, height: int, detail: str) -> int:
        return {"low": self.low, "medium": self.medium, "ultra_high": self.ultra_high}.get(detail, self.high)

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return None


@dataclass(frozen=True, slots=True)
class UnknownRule:
    """Nobody published how this model counts: tokens are None, never 0."""

    fit_px: int = 2048
    """Side of the square that images are fitted into."""

    def seen(self, width: int, height: int, detail: str) -> Size:
        return fit(width, height, self.fit_px)

    def tokens(self, width: int, height: int, detail: str) -> None:
        return None

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return None
