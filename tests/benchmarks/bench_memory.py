"""Peak memory of a whole run over many small images, as the operating system accounts for the process.

    python -m tests.benchmarks.bench_memory [--images 100000]

The images are a few pictures with a comment each, so that none is a copy of another. Prints the peak beside the limit
of 300 MB.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.bench_job import make_photos
from tests.helpers.folders import write_variant
from tests.helpers.zero_latency_endpoint import zero_latency_endpoint

LIMIT_MB = 300


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as temporary, zero_latency_endpoint() as url:
        paths = make_photos(Path(temporary, "originals"), 8, 320, 240, grain=14, quality=85)
        originals = [path.read_bytes() for path in paths]
        photos = Path(temporary, "photos")
        for number in range(count):
            folder = photos / f"{number // 1000:04}"
            folder.mkdir(parents=True, exist_ok=True)
            write_variant(folder / f"{number:07}.jpg", originals[number % len(originals)], number)
        command = [
            *(sys.executable, "-m", "pipeline", "run", str(photos), "-o", str(Path(temporary, "out"))),
            *("--model", "openai:gpt-4o", "--base-url", url),
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        begun = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        assert peak * 1024 > before, "the run is not the largest child, so its peak is not what was read"
        print(f"{count} images in {seconds:.0f} s ({count / seconds:.0f}/s): ", end="")
        print(f"peak {peak:.0f} MB, {peak / LIMIT_MB:.2f} of {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
