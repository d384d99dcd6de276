"""Peak memory of a whole run over many small images: of the run, and of the processes that decode for it.

    python -m tests.benchmarks.bench_memory [--images 100000]

Each image differs in a comment, so that none is taken for another's copy. Prints the peaks beside the limit of 300 MB.
What several processes share (libraries, bodies) is counted once: the peak is that of their proportional set sizes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.bench_job import make_photos
from tests.helpers.zero_latency_endpoint import zero_latency_endpoint

LIMIT_MB = 300
LOOK_SECONDS = 0.25


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture in another file."""
    comment = text.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def memory_mb(process: int) -> float:
    """Proportional set size; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def children(process: int) -> list[int]:
    try:
        threads = list(Path(f"/proc/{process}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=100_000)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as temporary, zero_latency_endpoint() as url:
        originals = [
            path.read_bytes() for path in make_photos(Path(temporary, "of"), 8, 320, 240, grain=14, quality=85)
        ]
        photos = Path(temporary, "photos")
        for number in range(count):
            path = photos / f"{number // 1000:04}" / f"{number:07}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(with_comment(originals[number % len(originals)], str(number)))
        command = [
            *(sys.executable, "-m", "pipeline", "run", str(photos), "-o", str(Path(temporary, "out"))),
            *("--model", "openai:gpt-4o", "--base-url", url),
        ]
        begun = time.perf_counter()
        peak_run = peak_all = 0.0
        with subprocess.Popen(command) as running:
            while running.poll() is None:
                own = memory_mb(running.pid)
                peak_run = max(peak_run, own)
                peak_all = max(peak_all, own + sum(map(memory_mb, children(running.pid))))
                time.sleep(LOOK_SECONDS)
        assert running.returncode == 0
        seconds = time.perf_counter() - begun
        print(f"{count} images in {seconds:.0f} s ({count / seconds:.0f}/s): peak {peak_run:.0f} MB of the run", end="")
        print(f", {peak_all:.0f} MB with its processes, {peak_all / LIMIT_MB:.2f} of {LIMIT_MB} MB")


if __name__ == "__main__":
    main()
