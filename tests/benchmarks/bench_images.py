"""What an image costs on its way to the endpoint: `python tests/benchmarks/bench_images.py`.

`prepare` on 12-megapixel photographs with grain (about 3 MB), shrunk by the 2048/768 rule, in one and in two threads,
beside the same images decoded in full, resized and encoded with Pillow as everyone does, and beside the floor: only
the shrinking decode. Then how fast headers are read. The methods take turns, image by image.
"""

import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from PIL import Image

from pipeline.images import HEAD_BYTES, ImageOptions, hash_bytes, prepare, probe
from pipeline.images import resize as resizing
from tests.helpers.pictures import encoded, photo

try:
    import imagesize
except ImportError:
    imagesize = None

OPTIONS = ImageOptions()
IMAGES, ROUNDS = 8, 3


def fit(width: int, height: int) -> tuple[int, int]:
    """Within 2048x2048, then the shorter side 768: the rule of the tile models."""
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return round(width * scale), round(height * scale)


def naive(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    buffer = io.BytesIO()
    image.resize(fit(*image.size), Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def floor(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", fit(*image.size))
    image.load()
    return b""


def whole(data: bytes) -> bytes:
    return prepare(data, fit, OPTIONS).data


@contextmanager
def resizing_by_pillow() -> Iterator[None]:
    """As if cykooz-resizer were not installed."""
    fast, resizing._cykooz = resizing._cykooz, lambda: None
    try:
        yield
    finally:
        resizing._cykooz = fast


NAIVE = "naive Pillow: decode, Lanczos, encode"
METHODS: dict[str, tuple[Callable[[bytes], bytes], Callable[[], AbstractContextManager[None]]]] = {
    NAIVE: (naive, nullcontext),
    "prepare": (whole, nullcontext),
    "prepare without cykooz-resizer": (whole, resizing_by_pillow),
    "floor: shrinking decode only": (floor, nullcontext),
}


def photographs() -> None:
    files = [encoded(photo(4000, 3000, grain=6, seed=seed), quality=88) for seed in range(IMAGES)]
    size = sum(map(len, files)) / len(files) / 1e6
    print(f"{IMAGES} photographs of 4000x3000, {size:.1f} MB each, to {fit(4000, 3000)}")
    if resizing._cykooz() is None:
        print("cykooz-resizer is not installed: `prepare` uses Pillow")
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(ROUNDS):
        for data in files:
            for name, (method, setting) in METHODS.items():
                with setting():
                    start = time.process_time()
                    method(data)
                    seconds[name].append(time.process_time() - start)
    for name, times in seconds.items():
        ratio = statistics.median(slow / fast for slow, fast in zip(seconds[NAIVE], times, strict=True))
        print(f"  {name:40} {statistics.median(times) * 1e3:6.1f} ms CPU   {ratio:5.2f} x naive")
    for name, (method, setting) in METHODS.items():
        with setting():
            one, two = rate(method, files, threads=1), rate(method, files, threads=2)
        print(f"  {name:40} {one:6.1f} images/s in 1 thread, {two:6.1f} in 2 ({two / one:.2f} x)")


def rate(method: Callable[[bytes], bytes], files: list[bytes], threads: int) -> float:
    """Images per second of wall time, the best of three rounds."""
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            list(pool.map(method, files))
            best = max(best, len(files) / (time.perf_counter() - start))
    return best


def small_files() -> None:
    data = encoded(photo(640, 480, grain=12), quality=90)
    print(f"640x480 JPEG of {len(data) / 1e3:.0f} KB that fits")
    for name, call in {
        "prepare (passed through)": lambda: whole(data),
        "of which hash_bytes": lambda: hash_bytes(data),
        "naive Pillow": lambda: naive(data),
    }.items():
        print(f"  {name:40} {per_call(call) * 1e3:6.3f} ms")


def headers() -> None:
    jpeg, png, webp = (encoded(photo(640, 480, grain=12), kind) for kind in ("jpeg", "png", "webp"))
    print("dimensions from the header")
    for kind, data in {"jpeg": jpeg, "png": png, "webp": webp}.items():
        head = data[:HEAD_BYTES]
        ours = per_call(lambda head=head: probe(head))
        pillow = per_call(lambda data=data: Image.open(io.BytesIO(data)).size)
        line = f"  {kind:5} probe {ours * 1e6:5.1f} us, Pillow open {pillow * 1e6:6.1f} us ({pillow / ours:5.1f} x)"
        if imagesize is not None:
            other = per_call(lambda head=head: imagesize.get(io.BytesIO(head)))
            line += f", imagesize {other * 1e6:6.1f} us ({other / ours:4.1f} x)"
        print(line)


def per_call(call: Callable[[], object]) -> float:
    """Seconds a call, the best of five rounds of at least 20 ms."""
    best = float("inf")
    for _ in range(5):
        count, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < 0.02:
            call()
            count += 1
        best = min(best, elapsed / count)
    return best


if __name__ == "__main__":
    photographs()
    small_files()
    headers()
