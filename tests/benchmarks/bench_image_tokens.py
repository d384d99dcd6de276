"""A million image sizes to tokens: the vectorised rules beside the scalar ones, and one call of each public function.

Run: python tests/benchmarks/bench_image_tokens.py
"""

import time
from collections.abc import Callable

import numpy as np

from pipeline.models import Model, best_dimensions, image_tokens, image_tokens_array, list_models
from pipeline.models.image_rules import UnknownRule

COUNT = 1_000_000
SCALAR_COUNT = 20_000


def seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def each(work: Callable[[int, int], object], sizes: list[tuple[int, int]]) -> float:
    """Microseconds a call."""

    def all_of_them() -> None:
        for width, height in sizes:
            work(width, height)

    return seconds(all_of_them) / len(sizes) * 1e6


def main() -> None:
    rng = np.random.default_rng(1)
    widths, heights = rng.integers(200, 8000, COUNT), rng.integers(200, 8000, COUNT)
    sizes = list(zip(widths[:SCALAR_COUNT].tolist(), heights[:SCALAR_COUNT].tolist(), strict=True))
    families: dict[type, Model] = {}
    for model in list_models():
        if not isinstance(model.rule, UnknownRule):
            families.setdefault(type(model.rule), model)
    print(f"{'rule':20} {'1M array':>9} {'scalar':>9} {'ratio':>6}   {'optimal':>9} {'economy':>9}")
    for family, model in families.items():

        def tokens(width: int, height: int, model: Model = model) -> int:
            return image_tokens(model, width, height)

        def optimal(width: int, height: int, model: Model = model) -> tuple[int, int]:
            return best_dimensions(model, width, height)

        def economy(width: int, height: int, model: Model = model) -> tuple[int, int]:
            return best_dimensions(model, width, height, policy="economy")

        def array(model: Model = model) -> object:
            return image_tokens_array(model, widths, heights)

        together, alone = seconds(array), each(tokens, sizes)
        print(
            f"{family.__name__:20} {together:7.3f} s {alone:6.2f} us {alone * COUNT / 1e6 / together:6.0f}x"
            f"  {each(optimal, sizes):6.2f} us {each(economy, sizes):6.2f} us"
        )


if __name__ == "__main__":
    main()
