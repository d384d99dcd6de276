"""The whole job against a zero-latency endpoint, beside what it is made of, in the same run.

    pip install -e '.[fast]'        uvloop and the fast resizer, as who wants speed has them
    python -m tests.benchmarks.bench_job [--large 120] [--small 5000] [--rounds 3]

12-megapixel JPEGs beside (a) the same images only prepared in two threads and (b) naive Pillow in two threads: images
per second from the call of `run` to its return, and without the start. Small pass-through JPEGs beside a bare aiohttp
loop that posts the same bodies, but reads nothing, hashes nothing, encodes nothing and writes nothing: requests per
second as the endpoint sees them, from the first to the last; and the whole run, with its start and its end.
"""

import argparse
import asyncio
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import aiohttp
import numpy as np
from PIL import Image

from pipeline import Job, best_dimensions, run
from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, render_head, tail_template
from pipeline.images import ImageOptions, prepare
from tests.helpers.zero_latency_endpoint import seen_by, zero_latency_endpoint

MODEL = "openai:gpt-4o"
CONCURRENCY = 32
RUN, REQUESTS = "whole run", "requests"


def make_photos(folder: Path, count: int, width: int, height: int, grain: float, quality: int) -> list[Path]:
    """JPEGs with the structure of photographs: blurred shapes and sensor grain."""
    folder.mkdir()
    rng = np.random.default_rng(7)
    paths = []
    for number in range(count):
        shapes = Image.fromarray(rng.integers(0, 255, (height // 40, width // 40, 3), np.uint8))
        pixels = np.asarray(shapes.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        noise = rng.standard_normal((height, width, 1), np.float32) * grain
        photo = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
        paths.append(folder / f"{number:05}.jpg")
        photo.save(paths[-1], quality=quality)
    return paths


def naive(path: Path) -> bytes:
    """What a script does: decode the whole picture, LANCZOS to the model's size, encode."""
    image = Image.open(path).convert("RGB")
    size = best_dimensions(MODEL, *image.size)
    out = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=85)
    return out.getvalue()


def prepare_only(path: Path) -> bytes:
    return prepare(path.read_bytes(), partial(best_dimensions, MODEL), ImageOptions()).data


def in_threads(work: Callable[[Path], bytes], paths: list[Path]) -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, paths))
    return len(paths) / (time.perf_counter() - begun)


def whole_job(folder: Path, base_url: str) -> dict[str, float]:
    """Images per second: of the whole run, and as the endpoint saw them come."""
    with tempfile.TemporaryDirectory() as out:
        job = Job.create(folder, out, model=MODEL, base_url=base_url, concurrency=CONCURRENCY)
        seen_by(base_url)
        begun = time.perf_counter()
        summary = run(job)
        seconds = time.perf_counter() - begun
    assert summary.exit_code == 0, summary
    return {RUN: summary.stats.recorded / seconds, REQUESTS: seen_by(base_url).per_second}


async def _bare_loop(url: str, bodies: list[bytes]) -> None:
    todo = iter(bodies)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post() -> None:
            for body in todo:
                async with session.post(url, data=body, headers=headers) as response:
                    await response.json()

        await asyncio.gather(*(post() for _ in range(CONCURRENCY)))


def bare_loop(paths: list[Path], base_url: str) -> float:
    """Requests per second of the plainest client: bodies ready in memory, nothing read, counted or written."""
    head, template = render_head(ModelOptions(), Form("gpt-4o")), tail_template(ModelOptions())
    bodies = [head + template.render("jpeg", path.read_bytes()) for path in paths]
    seen_by(base_url)
    asyncio.run(_bare_loop(f"{base_url}/chat/completions", bodies))
    return seen_by(base_url).per_second


def report(title: str, rounds: list[dict[str, float]]) -> None:
    print(f"\n{title}")
    ours = [name for name in (RUN, REQUESTS) if name in rounds[0]]
    print(f"  {'':<30}{'img/s':>9}", *(f"{name}/this" for name in ours), sep="   ")
    for name in rounds[0]:
        rate = statistics.median(each[name] for each in rounds)
        ratios = [statistics.median(each[our] / each[name] for each in rounds) for our in ours]
        columns = (f"{ratio:{len(our) + 5}.2f}" for our, ratio in zip(ours, ratios, strict=True))
        print(f"  {name:<30}{rate:9.1f}", *columns, sep="   ")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", type=int, default=120)
    parser.add_argument("--small", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, zero_latency_endpoint() as url:
        large = make_photos(Path(temporary, "large"), arguments.large, 4000, 3000, grain=5, quality=88)
        small = make_photos(Path(temporary, "small"), arguments.small, 640, 480, grain=9, quality=86)
        print(f"12 MP mean {sum(p.stat().st_size for p in large) / len(large) / 1e6:.1f} MB,", end=" ")
        print(f"small mean {sum(p.stat().st_size for p in small) / len(small) / 1e3:.0f} KB")
        rounds = [
            whole_job(large[0].parent, url)
            | {
                "(a) prepare in 2 threads": in_threads(prepare_only, large),
                "(b) naive Pillow, 2 threads": in_threads(naive, large),
            }
            for _ in range(arguments.rounds)
        ]
        report("12-megapixel JPEGs (at least 0.85 of a, 3 times b)", rounds)
        rounds = [
            whole_job(small[0].parent, url) | {"bare aiohttp loop": bare_loop(small, url)}
            for _ in range(arguments.rounds)
        ]
        report("640x480 pass-through JPEGs (requests at least 0.70 of the bare loop)", rounds)


if __name__ == "__main__":
    main()
