"""What one image costs a model in tokens, and which size is best to send. Knows the catalogue; touches no image.

A policy says how far a picture may be shrunk before it is sent:

    original    not at all
    optimal     to what the model would have seen anyway, no further
    economy     also to the next tile or patch boundary, where that is cheap in pixels and saves tokens
    budget:N    until it costs at most N tokens

No policy enlarges, crops or distorts, none makes an image dearer, and applying one twice changes nothing more.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pipeline.errors import UserError
from pipeline.models.catalogue import Model, check_size, find_model, unknown_rule
from pipeline.models.image_rules import ImageRule, Size, fit, scaled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

LOW_DETAIL_PX = 512
"""Side of the square that `detail: low` stands for. Patch models before gpt-5.5 bill `low` like `high`, or more: only
being small is cheap there."""


def image_tokens(model: str | Model, width: int, height: int, detail: str = "high") -> int:
    """Tokens that `model` bills for one image of `width` x `height` px, upright.

    What is billed, where bills were published, also where the vendor's own table says otherwise: the catalogue has the
    rule and its sources. `detail` is `low`, `high`, `auto` or what else the model knows. Raises UserError for an
    impossible size, an unknown detail, a model without image input or without a known rule, and UnknownModel.
    """
    model = find_model(model) if isinstance(model, str) else model
    tokens = model.image_tokens(width, height, detail)
    if tokens is None:
        raise unknown_rule(model)
    return tokens


def image_tokens_array(
    model: str | Model, widths: "ArrayLike", heights: "ArrayLike", detail: str = "high"
) -> "NDArray[np.int64]":
    """`image_tokens` for whole arrays of sizes, broadcast together: int64 of their shape, about 0.1 s per million.

    Equal to `image_tokens` for every size. One impossible size raises UserError for all.
    """
    from pipeline.models.image_tokens_array import array_tokens

    return array_tokens(find_model(model) if isinstance(model, str) else model, widths, heights, detail)


def fits_array(
    model: str | Model, widths: "ArrayLike", heights: "ArrayLike", detail: str = "high"
) -> "NDArray[np.bool_]":
    """Which of the sizes `best_dimensions` with the policy `optimal` leaves as they are, 0.1 s per million.

    True is certain; False may also mean that nobody looked (Gemini and the open models): ask `best_dimensions`.
    """
    from pipeline.models.image_tokens_array import array_fits

    return array_fits(find_model(model) if isinstance(model, str) else model, widths, heights, detail)


def best_dimensions(
    model: str | Model, width: int, height: int, detail: str = "high", policy: str = "optimal", max_shrink: float = 0.25
) -> Size:
    """The size to which an upright image of `width` x `height` px is best shrunk before it is sent to `model`.

    `policy` is `original`, `optimal`, `economy` or `budget:N` (see the top of this file). `optimal` gives the model the
    pixels that it would have seen, so that the server has no resize left to do; a model whose rule is unknown gets at
    most 2048x2048, and `detail="low"` means 512x512 for every model. `economy` trims to the next boundary when that
    saves at least 10 % of the image's tokens for at most `max_shrink` of its sides; a size that already lies on a
    boundary and needs no resize counts as trimmed. `budget:N` is the largest size of the same shape for N tokens.

    Raises UserError as `image_tokens` does (an unknown rule matters to `budget` alone), for a policy that cannot be
    read, and for a budget that no size can keep.
    """
    model = find_model(model) if isinstance(model, str) else model
    check_size(width, height)
    detail = model.resolve_detail(detail)
    kind, budget = parse_policy(policy)
    if kind == "original":
        return width, height
    original = (width, height)
    seen = _seen(model.rule, original, detail)
    if kind == "economy":
        return _trimmed(model.rule, original, seen, detail, max_shrink)
    if kind == "budget":
        return _within_budget(model, original, seen, detail, budget)
    return seen


@lru_cache(maxsize=64)
def parse_policy(policy: str) -> tuple[Literal["original", "optimal", "economy", "budget"], int]:
    """Kind of a policy as it is written, and its token budget (0 for other kinds). Cached: it is asked per image."""
    if policy == "original":
        return "original", 0
    if policy == "optimal":
        return "optimal", 0
    if policy == "economy":
        return "economy", 0
    kind, _, number = policy.partition(":")
    if kind != "budget":
        raise UserError(
            f"Unknown image policy {policy!r}: use original, optimal, economy or budget:N (tokens per image)."
        )
    if not (number.isascii() and number.isdigit() and int(number) > 0):
        raise UserError(f"Image policy {policy!r} needs a whole number of tokens above zero, for example budget:800.")
    return "budget", int(number)


def _seen(rule: ImageRule, original: Size, detail: str) -> Size:
    width, height = original
    if detail != "low":
        return _straightened(rule, original, rule.seen(width, height, detail), detail)
    rounded = fit(width, height, LOW_DETAIL_PX)
    if rounded == original:
        return rule.seen(width, height, detail)
    # Some models enlarge what is small and then count by shape: where rounding made it dearer, rounding down may not,
    # and a sliver stays as it is.
    long = LOW_DETAIL_PX
    floored = (long, height * long // width or 1) if width >= height else (width * long // height or 1, long)
    most = rule.tokens(width, height, detail)
    for size in (rounded, floored):
        seen = rule.seen(*size, detail)
        tokens = rule.tokens(*seen, detail)
        if most is None or tokens is None or tokens <= most:
            return seen
    return original


def _straightened(rule: ImageRule, original: Size, seen: Size, detail: str) -> Size:
    """A server that resizes in two steps rounds twice, up to 2 px off the shape: undo that where it costs nothing."""
    (width, height), (across, down) = original, seen
    if 2 * abs(across * height - down * width) <= max(width, height):
        return seen
    tokens = rule.tokens(across, down, detail)
    for size in ((scaled(width, down, height), down), (across, scaled(height, across, width))):
        if rule.seen(*size, detail) == size and rule.tokens(*size, detail) == tokens:
            return size
    return seen


def _trimmed(rule: ImageRule, original: Size, seen: Size, detail: str, max_shrink: float) -> Size:
    if not 0 <= max_shrink < 1:
        raise UserError(
            f"max_shrink is the part of its sides that economy may take: from 0 to below 1, not {max_shrink}."
        )
    smaller = rule.trimmed(*seen, resized=seen != original)
    if smaller is None or seen[0] - smaller[0] > max_shrink * seen[0] or seen[1] - smaller[1] > max_shrink * seen[1]:
        return seen
    before, after = rule.tokens(*seen, detail), rule.tokens(*smaller, detail)
    return smaller if before is not None and after is not None and 10 * after <= 9 * before else seen


def _within_budget(model: Model, original: Size, seen: Size, detail: str, budget: int) -> Size:
    """Bisect the longer side: every rule costs the least at 1 px, and all but the roughest never more for less."""

    def tokens(size: Size) -> int:
        count = model.rule.tokens(*size, detail)
        if count is None:
            raise unknown_rule(model)
        return count

    def at(long: int) -> Size:
        short = scaled(min(original), long, max(original))
        return (long, short) if original[0] >= original[1] else (short, long)

    if tokens(seen) <= budget:
        return seen
    smallest = tokens(at(1))
    if smallest > budget:
        raise UserError(f"No image costs {model} at most {budget} tokens at this detail: the least is {smallest}.")
    low, high = 1, max(seen)
    while high - low > 1:
        middle = (low + high) // 2
        if tokens(at(middle)) <= budget:
            low = middle
        else:
            high = middle
    return at(low)
