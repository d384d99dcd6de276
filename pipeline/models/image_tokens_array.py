"""The token rules for a million sizes at once: numpy twins of image_rules.py and open_model_rules.py.

Equal to the scalar rules for every size, which the tests hold them to: the same operations on int64 and float64. The
import costs numpy, so the room offers `image_tokens_array` through a function that imports this file when called.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UserError
from pipeline.models import image_rules, open_model_rules
from pipeline.models.catalogue import MAX_SIDE_PX, Model, check_size, unknown_rule
from pipeline.models.dimensions import LOW_DETAIL_PX

Ints = NDArray[np.int64]

CHUNK = 1 << 15
"""Sizes computed at a time: their temporaries stay in the processor's cache, 2 to 3 times faster than all at once."""


def array_tokens(model: Model, widths: ArrayLike, heights: ArrayLike, detail: str) -> Ints:
    """Tokens of each size; see `pipeline.models.image_tokens_array`."""
    detail = model.resolve_detail(detail)
    width, height = np.broadcast_arrays(np.asarray(widths), np.asarray(heights))
    if not width.size:
        return np.zeros(width.shape, np.int64)
    if width.dtype.kind not in "iu" or height.dtype.kind not in "iu":
        raise UserError(f"Image sizes are whole pixels, not {width.dtype} and {height.dtype}.")
    shape = width.shape
    width, height = width.ravel().astype(np.int64), height.ravel().astype(np.int64)
    tokens = np.empty(width.shape, np.int64)
    for bad in (np.minimum(width, height).argmin(), np.maximum(width, height).argmax()):
        check_size(int(width[bad]), int(height[bad]))
    count = _TWINS.get(type(model.rule))
    if count is None:
        raise unknown_rule(model)
    for start in range(0, width.size, CHUNK):
        part = slice(start, start + CHUNK)
        tokens[part] = count(model.rule, width[part], height[part], detail)
    return tokens.reshape(shape)


def array_fits(model: Model, widths: ArrayLike, heights: ArrayLike, detail: str) -> NDArray[np.bool_]:
    """Which sizes the policy `optimal` leaves as they are; see `pipeline.models.fits_array`."""
    detail = model.resolve_detail(detail)
    width, height = np.asarray(widths, np.int64), np.asarray(heights, np.int64)
    long, short = np.maximum(width, height), np.minimum(width, height)
    match model.rule:
        case image_rules.TileRule():
            fits = (long <= 2048) & (short <= 768)
        case image_rules.PatchRule() as rule:
            limits = rule.limits(detail)
            fits = _cells(width, 32) * _cells(height, 32) <= (limits.patches or image_rules.MAX_PATCHES)
            fits &= long <= (limits.side_px or MAX_SIDE_PX)
        case image_rules.ClaudeRule() as rule:
            fits = _cells(width, 28) * _cells(height, 28) <= rule.max_tokens
            fits &= 28 * _cells(long, 28) <= rule.max_side_px
        case _:
            fits = np.zeros(long.shape, np.bool_)
    return fits & (long <= LOW_DETAIL_PX) if detail == "low" else fits


def _cells(side: Ints, cell: int | Ints) -> Ints:
    return -(-side // cell)


def _scaled(side: Ints, numerator: int | Ints, denominator: Ints) -> Ints:
    scaled: Ints = np.maximum(np.rint(side * numerator / denominator), 1).astype(np.int64)
    return scaled


def _fit(width: Ints, height: Ints, limit: int) -> tuple[Ints, Ints]:
    long = np.maximum(width, height)
    over = long > limit
    if not over.any():
        return width, height
    return np.where(over, _scaled(width, limit, long), width), np.where(over, _scaled(height, limit, long), height)


def _tile(rule: image_rules.TileRule, width: Ints, height: Ints, detail: str) -> Ints:
    if detail == "low":
        return np.full(width.shape, rule.base_tokens)
    width, height = _fit(width, height, 2048)
    short = np.minimum(width, height)
    over = short > 768
    width, height = np.where(over, width * 768 // short, width), np.where(over, height * 768 // short, height)
    return rule.base_tokens + rule.tile_tokens * _cells(width, 512) * _cells(height, 512)


def _patch(rule: image_rules.PatchRule, width: Ints, height: Ints, detail: str) -> Ints:
    limits = rule.limits(detail)
    if limits.side_px:
        width, height = _fit(width, height, limits.side_px)
    patches = _cells(width, 32) * _cells(height, 32)
    budget = limits.patches
    if budget is not None and (patches > budget).any():
        # sqrt of an int below 2**52 is exact enough for its floor: a perfect square's root is representable.
        across = np.sqrt(budget * width // height).astype(np.int64)
        down = np.sqrt(budget * height // width).astype(np.int64)
        by_width = across * height <= down * width
        rows = np.where(by_width, _cells(np.maximum(height * across * 32 // width, 1), 32), down)
        columns = np.where(by_width, across, _cells(np.maximum(width * down * 32 // height, 1), 32))
        patches = np.where(patches > budget, rows * columns, patches)
    return _cells(patches * rule.percent, 100)


def _claude(rule: image_rules.ClaudeRule, width: Ints, height: Ints, detail: str) -> Ints:
    long, short = np.maximum(width, height), np.minimum(width, height)

    def count(long: Ints, short: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        across, down = _cells(long, 28), _cells(short, 28)
        return across * down, (28 * across <= rule.max_side_px) & (across * down <= rule.max_tokens)

    tokens, fits = count(long, short)
    over = np.flatnonzero(~fits)
    if over.size:
        aspect = long[over] / short[over]
        low, high = np.ones(over.size, np.int64), np.minimum(long[over], rule.max_side_px + 1)
        while (open_ := high - low > 1).any():
            middle = (low + high) // 2
            _, fits = count(middle, np.maximum(np.rint(middle / aspect), 1).astype(np.int64))
            low, high = np.where(open_ & fits, middle, low), np.where(open_ & ~fits, middle, high)
        tokens[over] = count(low, np.maximum(np.rint(low / aspect), 1).astype(np.int64))[0]
    return tokens


def _crop(rule: image_rules.CropRule, width: Ints, height: Ints, detail: str) -> Ints:
    if detail in ("low", "medium"):
        return np.full(width.shape, rule.low_tokens if detail == "low" else rule.medium_tokens)
    crop = np.maximum(2 * np.minimum(width, height) // 3, 1)
    crops = np.where(np.maximum(width, height) <= 384, 1, _cells(width, crop) * _cells(height, crop))
    return rule.crop_tokens * crops


def _same(rule: image_rules.ImageRule, width: Ints, height: Ints, detail: str) -> Ints:
    """Rules that give every image the same."""
    return np.full(width.shape, rule.tokens(1, 1, detail))


def _qwen(rule: open_model_rules.QwenRule, width: Ints, height: Ints, detail: str) -> Ints:
    cell = rule.cell_px
    across, down = np.rint(width / cell), np.rint(height / cell)
    area, rounded = height * width, across * cell * (down * cell)
    shrink, grow = np.sqrt(area / rule.max_area_px), np.sqrt(rule.min_area_px / area)
    too_big, too_small = rounded > rule.max_area_px, rounded < rule.min_area_px
    columns, rows = [
        np.select(
            [too_big, too_small],
            [np.maximum(1, np.floor(side / shrink / cell)), np.ceil(side * grow / cell)],
            snapped,
        )
        for side, snapped in ((width, across), (height, down))
    ]
    tokens: Ints = (columns * rows).astype(np.int64) + rule.extra_tokens
    return tokens


def _pixtral(rule: open_model_rules.PixtralRule, width: Ints, height: Ints, detail: str) -> Ints:
    width, height = _fit(width, height, rule.max_side_px)
    return (_cells(width, rule.patch_px) + 1) * _cells(height, rule.patch_px)


def _capped_tile(rule: open_model_rules.CappedTileRule, width: Ints, height: Ints, detail: str) -> Ints:
    across, down = (np.minimum(_cells(side, rule.tile_px), rule.max_tiles) for side in (width, height))
    return rule.tile_tokens * across * down


def _llava_next(rule: open_model_rules.LlavaNextRule, width: Ints, height: Ints, detail: str) -> Ints:
    across, down = np.zeros_like(width), np.zeros_like(width)
    best_kept, least_wasted = np.zeros_like(width), np.zeros_like(width)
    for columns, rows in rule.canvases:
        scale = np.minimum(columns * rule.side_px / width, rows * rule.side_px / height)
        kept = (width * scale).astype(np.int64) * (height * scale).astype(np.int64)
        kept = np.minimum(kept, width * height)
        wasted = columns * rows * rule.side_px**2 - kept
        better = (kept > best_kept) | ((kept == best_kept) & (wasted < least_wasted))
        across, down = np.where(better, columns, across), np.where(better, rows, down)
        best_kept, least_wasted = np.where(better, kept, best_kept), np.where(better, wasted, least_wasted)
    # A shape so long that no canvas keeps a pixel of it: the first one, as in the scalar rule.
    lost = across == 0
    patches = rule.side_px // rule.patch_px
    across = np.where(lost, rule.canvases[0][0], across) * patches
    down = np.where(lost, rule.canvases[0][1], down) * patches
    wide = width * down > height * across
    rows_kept = down - (down - height * across // width) // 2 * 2
    columns_kept = across - (across - width * down // height) // 2 * 2
    down, across = np.where(wide, rows_kept, down), np.where(wide, across, columns_kept)
    return patches * patches + across * down + down


def _smolvlm(rule: open_model_rules.SmolVlmRule, width: Ints, height: Ints, detail: str) -> Ints:
    aspect = width / height
    landscape = width >= height
    short = np.where(landscape, rule.long_side_px / aspect, rule.long_side_px * aspect).astype(np.int64)
    long_tiles = -(-rule.long_side_px // rule.tile_px)
    short_tiles = _cells(np.maximum(1, short + short % 2), rule.tile_px)
    rows = np.where(landscape, short_tiles, long_tiles)
    return long_tiles * short_tiles * (rule.tile_tokens + 2) + rows + rule.tile_tokens + 3


_TWINS: dict[type, Callable[[Any, Ints, Ints, str], Ints]] = {
    image_rules.TileRule: _tile,
    image_rules.PatchRule: _patch,
    image_rules.ClaudeRule: _claude,
    image_rules.CropRule: _crop,
    image_rules.ResolutionRule: _same,
    open_model_rules.QwenRule: _qwen,
    open_model_rules.PixtralRule: _pixtral,
    open_model_rules.FixedRule: _same,
    open_model_rules.CappedTileRule: _capped_tile,
    open_model_rules.LlavaNextRule: _llava_next,
    open_model_rules.SmolVlmRule: _smolvlm,
}
