"""What the offline describer costs: CPU for each picture, beside its three networks alone on pictures of their size.

python tests/benchmarks/bench_builtin.py
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from pipeline.builtin import Describer, load_describer
from pipeline.images import decode_rgb
from tests.helpers.pictures import encoded, photo

ROUNDS = 12


def milliseconds(work: Callable[[], object]) -> float:
    """CPU, in the best of the rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times) * 1000


def networks_alone(describer: Describer) -> float:
    """No shrinking, no colours, no words."""
    networks = describer.networks
    inputs = {224: networks.whole, 260: networks.centre, 416: networks.detector}
    grey = {side: np.full((side, side, 3), 128, np.uint8) for side in inputs}
    return milliseconds(lambda: [session.run(None, {"pixels": grey[side]}) for side, session in inputs.items()])


def main() -> None:
    start = time.perf_counter()
    loaded = load_describer()
    print(f"loading: {(time.perf_counter() - start) * 1000:.0f} ms, once")
    describer = Describer(loaded.networks, loaded.vocabulary)
    baseline = networks_alone(describer)
    print(f"{'networks alone':32} {baseline:6.1f} ms")
    for width, height in ((640, 480), (1024, 768), (2048, 1536), (4000, 3000)):
        data = encoded(photo(width, height, grain=12, seed=1), quality=85)
        pixels = decode_rgb(data)
        for name, work in {
            "pixels": lambda pixels=pixels: describer.describe(pixels),
            "JPEG": lambda data=data: describer.describe_image(data),
        }.items():
            cost = milliseconds(work)
            print(f"{name + f' {width} x {height}':32} {cost:6.1f} ms  {cost / baseline:5.2f} x")


if __name__ == "__main__":
    main()
