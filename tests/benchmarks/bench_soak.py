"""A night in short: tiny images through the whole command, with an eye on memory and file handles all the while.

    python -m tests.benchmarks.bench_soak [--images 1000000] [--minutes 20]

The images are files of their own, of one JPEG with a number in it; the endpoint answers at once. Prints a line for each
tenth of the time: images recorded, memory of the run and of the processes that prepare, file handles. When the minutes
are over the run is asked to stop, as by Ctrl-C. Then every image that was asked must be one row, and what grew is told
as the ratio of the second half to the first.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import duckdb

from pipeline.store import read_status
from tests.helpers.folders import write_small_jpegs
from tests.helpers.process import descendants, open_files, rss_bytes
from tests.helpers.zero_latency_endpoint import zero_latency_endpoint

FOLDER_IMAGES = 10_000
LOOK_SECONDS = 1.0
LINES = 10


@dataclass(frozen=True, slots=True)
class Look:
    """At one moment of a run."""

    seconds: float
    run_mb: float
    workers_mb: float
    processes: int
    files: int


def look(pid: int, begun: float) -> Look:
    workers = descendants(pid)
    files = open_files(pid) + sum(map(open_files, workers))
    memory = sum(map(rss_bytes, workers)) / 2**20
    return Look(time.monotonic() - begun, rss_bytes(pid) / 2**20, memory, len(workers), files)


def rows_in(out: Path) -> int:
    return read_status(str(out)).rows if (out / "_nightcap").is_dir() else 0


def watch(run: subprocess.Popen[bytes], out: Path, seconds: float) -> list[Look]:
    """Looks until the run has ended by itself, or was asked to at the end of its time."""
    begun = time.monotonic()
    looks: list[Look] = []
    asked = False
    while run.poll() is None:
        try:
            looks.append(look(run.pid, begun))
        except (FileNotFoundError, ProcessLookupError):  # a process ended between two questions about it
            continue
        if len(looks) % max(1, int(seconds / LINES / LOOK_SECONDS)) == 0:
            now = looks[-1]
            print(
                f"{now.seconds:6.0f} s  {rows_in(out):>9,} rows  run {now.run_mb:5.0f} MB,"
                f" {now.processes} processes {now.workers_mb:5.0f} MB, {now.files} files",
                flush=True,
            )
        if not asked and looks[-1].seconds > seconds:
            run.send_signal(signal.SIGINT)
            asked = True
        time.sleep(LOOK_SECONDS)
    return looks


def tell_growth(looks: list[Look]) -> None:
    """The first fifth is the start."""
    steady = looks[len(looks) // 5 : -2]
    first, second = steady[: len(steady) // 2], steady[len(steady) // 2 :]
    for name in ("run_mb", "workers_mb", "files"):
        before, after = (median(getattr(one, name) for one in half) for half in (first, second))
        print(f"{name:<11} {before:7.1f} in the first half, {after:7.1f} in the second: {after / before:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, zero_latency_endpoint() as url:
        photos, out = Path(temporary, "photos"), Path(temporary, "out")
        for begin in range(0, options.images, FOLDER_IMAGES):
            count = min(FOLDER_IMAGES, options.images - begin)
            write_small_jpegs(photos / f"{begin // FOLDER_IMAGES:05}", count, begin)
        print(f"{options.images:,} images are there", flush=True)
        command = [sys.executable, "-m", "pipeline", "run", str(photos), "-o", str(out), "--quiet", "-m", "gpt-4o"]
        begun = time.monotonic()
        with subprocess.Popen([*command, "--base-url", url], env={**os.environ, "OPENAI_API_KEY": "none"}) as run:
            looks = watch(run, out, 60 * options.minutes)
        seconds = time.monotonic() - begun
        query = f"SELECT count(*), count(DISTINCT key), count(caption) FROM '{out}/*.parquet'"
        ((rows, keys, captions),) = duckdb.sql(query).fetchall()
        assert rows == keys == captions
        assert rows == options.images or run.returncode == 130
        print(f"{rows:,} images in {seconds:.0f} s ({rows / seconds:,.0f}/s), one row each; exit code {run.returncode}")
        tell_growth(looks)


if __name__ == "__main__":
    main()
