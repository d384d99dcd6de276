"""How open models turn an image into tokens, as the code that serves them does. Knows pixels and tokens only.

Same three questions as image_rules.py. These models run from public code (transformers, mistral-common), and a server
counts what that code produces. So where it computes with floats, these rules do the same operations in the same
order instead of exact ones; numbers such as patch size and pixel limits come with the checkpoint (catalogue.toml).
"""

from dataclasses import dataclass
from math import ceil, floor, sqrt

from pipeline.models.image_rules import Size, cells, fit, fit_box, fit_short, scaled, trim_to_grid


@dataclass(frozen=True, slots=True)
class QwenRule:
    """Qwen-VL: both sides rounded to the grid, then the area brought between two limits; a token per grid cell.

    transformers refuses a shape longer than 200:1; the count is given all the same, the server says the rest.
    """

    cell_px: int
    min_area_px: int
    max_area_px: int
    extra_tokens: int
    """Vision start and end markers."""

    def _rounded(self, side: int) -> int:
        return round(side / self.cell_px) * self.cell_px

    def _grid(self, width: int, height: int) -> Size:
        """The size that the server makes of an image: a multiple of the cell on both sides."""
        cell = self.cell_px
        across, down = self._rounded(width), self._rounded(height)
        if across * down > self.max_area_px:
            beta = sqrt((height * width) / self.max_area_px)
            return max(cell, floor(width / beta / cell) * cell), max(cell, floor(height / beta / cell) * cell)
        if across * down < self.min_area_px:
            beta = sqrt(self.min_area_px / (height * width))
            return ceil(width * beta / cell) * cell, ceil(height * beta / cell) * cell
        return across, down

    def seen(self, width: int, height: int, detail: str) -> Size:
        """The smallest size of the same shape from which the server makes the same grid.

        What is left to the server is the snap of each side to the grid, by less than one cell.
        """
        if self._rounded(width) * self._rounded(height) <= self.max_area_px or width * height <= self.max_area_px:
            return width, height
        grid = self._grid(width, height)
        longest, shortest = max(width, height), min(width, height)
        reach = self.cell_px // 2 - 1  # a side that far above a multiple of the cell still rounds down to it
        snapped = min(max(grid) + reach, (min(grid) + reach) * longest // shortest)
        by_area = floor(longest / sqrt(width * height / self.max_area_px))
        for long in (snapped, by_area):
            short = scaled(shortest, long, longest)
            size = (long, short) if width >= height else (short, long)
            settled = self._rounded(long) * self._rounded(short) <= self.max_area_px or long * short <= self.max_area_px
            if settled and self._grid(*size) == grid:
                return size
        return width, height

    def tokens(self, width: int, height: int, detail: str) -> int:
        across, down = self._grid(width, height)
        return across * down // (self.cell_px * self.cell_px) + self.extra_tokens

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return trim_to_grid(width, height, self.cell_px, resized)


@dataclass(frozen=True, slots=True)
class PixtralRule:
    """Pixtral: fit the longer side, a token per patch and one more per row (row break, the last: end of image)."""

    max_side_px: int
    patch_px: int

    def seen(self, width: int, height: int, detail: str) -> Size:
        return fit(width, height, self.max_side_px)

    def tokens(self, width: int, height: int, detail: str) -> int:
        width, height = self.seen(width, height, detail)
        return (cells(width, self.patch_px) + 1) * cells(height, self.patch_px)

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return trim_to_grid(width, height, self.patch_px, resized)


@dataclass(frozen=True, slots=True)
class FixedRule:
    """The same number of tokens for every image (LLaVA 1.5, Gemma 3)."""

    image_tokens: int
    short_side_px: int
    """The encoder's input: more pixels than this on the shorter side are not seen."""

    def seen(self, width: int, height: int, detail: str) -> Size:
        return fit_short(width, height, self.short_side_px)

    def tokens(self, width: int, height: int, detail: str) -> int:
        return self.image_tokens

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return None


@dataclass(frozen=True, slots=True)
class LlavaNextRule:
    """LLaVA-NeXT: a small overview and the best of several canvases, without the canvas's padding, a break per row."""

    side_px: int
    """Of the vision encoder's input."""
    patch_px: int
    canvases: tuple[Size, ...]
    """(width, height) in encoder sides."""

    def _canvas(self, width: int, height: int) -> Size:
        """The canvas that keeps most of the image, in encoder sides; of equals the one that wastes least."""
        best, best_kept, least_wasted = self.canvases[0], 0, 0
        for canvas in self.canvases:
            across, down = canvas[0] * self.side_px, canvas[1] * self.side_px
            scale = min(across / width, down / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            wasted = across * down - kept
            if kept > best_kept or (kept == best_kept and wasted < least_wasted):
                best, best_kept, least_wasted = canvas, kept, wasted
        return best

    def seen(self, width: int, height: int, detail: str) -> Size:
        across, down = self._canvas(width, height)
        across, down = across * self.side_px, down * self.side_px
        if width <= across and height <= down:
            return width, height
        # Padding is cut off by pairs of rows, so a rounded side may cost a pair: of the two nearest take the one that
        # counts like the original.
        sizes = [fit_box(width, height, across, down)]
        sizes += [(across, height * across // width), (width * down // height, down)]
        wanted = self.tokens(width, height, detail)
        fitting = (size for size in sizes if 0 < size[0] <= across and 0 < size[1] <= down)
        return next((size for size in fitting if self.tokens(*size, detail) == wanted), (width, height))

    def tokens(self, width: int, height: int, detail: str) -> int:
        patches = self.side_px // self.patch_px
        across, down = self._canvas(width, height)
        across, down = across * patches, down * patches
        if width * down > height * across:
            down -= (down - height * across // width) // 2 * 2
        else:
            across -= (across - width * down // height) // 2 * 2
        return patches * patches + across * down + down

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return None


@dataclass(frozen=True, slots=True)
class CappedTileRule:
    """Llama 3.2 Vision as hosters bill it: tiles, at most `max_tiles` along each side."""

    tile_px: int
    tile_tokens: int
    max_tiles: int

    def seen(self, width: int, height: int, detail: str) -> Size:
        # The model itself arranges its max_tiles**2 tiles as the shape needs: a panorama may be all of them long.
        tiles = self.max_tiles * self.max_tiles
        canvases = [(across, tiles // across) for across in range(1, tiles + 1)]
        across, down = max(canvases, key=lambda canvas: min(canvas[0] / width, canvas[1] / height))
        return fit_box(width, height, across * self.tile_px, down * self.tile_px)

    def tokens(self, width: int, height: int, detail: str) -> int:
        across, down = cells(width, self.tile_px), cells(height, self.tile_px)
        return self.tile_tokens * min(across, self.max_tiles) * min(down, self.max_tiles)

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return trim_to_grid(width, height, self.tile_px, resized)


@dataclass(frozen=True, slots=True)
class SmolVlmRule:
    """SmolVLM: the longer side is always brought to one length, cut into square tiles, plus an overview."""

    long_side_px: int
    tile_px: int
    tile_tokens: int

    def _scaled_short(self, width: int, height: int) -> int:
        if width >= height:
            return int(self.long_side_px / (width / height))
        return int(self.long_side_px * (width / height))

    def seen(self, width: int, height: int, detail: str) -> Size:
        if max(width, height) <= self.long_side_px:
            return width, height
        short = max(1, self._scaled_short(width, height))
        return (self.long_side_px, short) if width >= height else (short, self.long_side_px)

    def tokens(self, width: int, height: int, detail: str) -> int:
        short = self._scaled_short(width, height)
        rows_and_columns = cells(self.long_side_px, self.tile_px), cells(max(1, short + short % 2), self.tile_px)
        rows = rows_and_columns[width >= height]
        tiles = rows_and_columns[0] * rows_and_columns[1]
        # A tile carries a separator and its place, a row ends with a line break, the overview has three markers.
        return tiles * (self.tile_tokens + 2) + rows + self.tile_tokens + 3

    def trimmed(self, width: int, height: int, resized: bool) -> Size | None:
        return None
