"""What it costs to have a small JPEG made ready that is sent as it is: processor time of the run and of the process.

    python -m tests.benchmarks.bench_preparing [--rounds 5]

640x480, 100 KB. Beside the floor: one loop that reads the file, hashes it and encodes it, and does nothing else.
Linux only; times are those of the processor, so that others on the machine disturb less.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pybase64

from pipeline.api.options import ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.structured.counting import expected_form
from pipeline.engine.live.stages import HOP_IMAGES
from pipeline.engine.plan import RunOptions
from pipeline.engine.preparing.processes import Processes, open_processes
from pipeline.engine.preparing.rules import build_preparer, json_tail
from pipeline.images import ImageOptions, hash_bytes
from pipeline.items import SourceImage
from pipeline.models import RequestLimits, find_model
from pipeline.sources import SourceOptions, open_source
from tests.benchmarks.bench_job import MODEL, make_photos
from tests.benchmarks.bench_memory import children

IMAGES, REPEATED = 300, 10


def floor_us(paths: Sequence[Path]) -> float:
    begun = time.thread_time()
    for path in paths:
        data = path.read_bytes()
        hash_bytes(data)
        pybase64.b64encode(data)
    return 1e6 * (time.thread_time() - begun) / len(paths)


def process_seconds() -> float:
    """Of all processes that prepare, since they were started."""
    return sum(int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) for child in children(os.getpid())) / 1e9


async def prepared_us(processes: Processes, images: Sequence[SourceImage]) -> tuple[float, float]:
    """Of the run, and of the process."""
    hops = iter([images[at : at + HOP_IMAGES] for at in range(0, len(images), HOP_IMAGES)])

    async def prepare() -> None:
        for hop in hops:
            await processes.prepare(hop)

    before, begun = process_seconds(), time.thread_time()
    await asyncio.gather(*(prepare() for _ in range(processes.lanes)))
    run, process = time.thread_time() - begun, process_seconds() - before
    return 1e6 * run / len(images), 1e6 * process / len(images)


async def compare(folder: Path, rounds: int) -> None:
    paths = make_photos(folder, IMAGES, 640, 480, grain=9, quality=86) * REPEATED
    options, model = ModelOptions(name=MODEL), find_model(MODEL)
    source, form, encode = SourceOptions((str(folder),)), expected_form(model, None), json_tail(tail_template(options))
    listed = list(open_source(source).list())
    async with open_processes(1, RunOptions()) as processes:
        processes.equip(build_preparer(source, ImageOptions(), options, model, form, RequestLimits(), encode))
        await processes.prepare(listed[:1])
        print(f"Until the first image is ready: {process_seconds():.2f} s of a core")
        await prepared_us(processes, listed)
        measured = [(floor_us(paths), *await prepared_us(processes, listed * REPEATED)) for _ in range(rounds)]
    floor, run, process = (statistics.median(column) for column in zip(*measured, strict=True))
    size = sum(image.bytes or 0 for image in listed) / len(listed)
    print(f"An image of {size / 1000:.0f} KB: process {process:.0f} us, run {run:.0f} us;", end=" ")
    print(f"floor {floor:.0f} us, both {(run + process) / floor:.2f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(compare(Path(temporary, "photos"), parser.parse_args().rounds))


if __name__ == "__main__":
    main()
