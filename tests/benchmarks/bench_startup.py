"""From the start of the installed command to its first request, beside what nobody can do without.

    python -m tests.benchmarks.bench_startup [--rounds 7]

Prints milliseconds from the start of the process, and of CPU time of it and its children: `python -c pass`, the import
of the official client (`openai`), and `nightcap run` on a folder of small images until its first request has arrived
and until its end. All in turn; of the rounds the median and the least.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.benchmarks.bench_job import make_photos
from tests.helpers.zero_latency_endpoint import BODY

IMAGES = 20


class _Endpoint(ThreadingHTTPServer):
    """Answers at once, and knows when the first request came."""

    first_at: float | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, _Endpoint)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.first_at = self.server.first_at or time.perf_counter()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def endpoint() -> Iterator[_Endpoint]:
    with _Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def started(*arguments: str) -> float:
    """Seconds until the command has ended."""
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], check=True, stderr=subprocess.DEVNULL, env={**os.environ, "OPENAI_API_KEY": "x"}
    )
    return time.perf_counter() - begun


def run_job(folder: Path) -> tuple[float, float]:
    """Seconds to the first request, and to the end."""
    with endpoint() as server, tempfile.TemporaryDirectory() as out:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        begun = time.perf_counter()
        whole = started("-m", "pipeline", "run", str(folder), "-o", out, "--model", "openai:gpt-4o", "--base-url", url)
        assert server.first_at is not None
        return server.first_at - begun, whole


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of the processes that `work` starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    taken: dict[str, list[float]] = {}

    def note(what: str, seconds: float) -> None:
        taken.setdefault(what, []).append(seconds)

    with tempfile.TemporaryDirectory() as there:
        folder = Path(there, "photos")
        make_photos(folder, IMAGES, 640, 480, grain=8, quality=85)
        run_job(folder)  # fills the caches of the file system and of Python
        for _ in range(rounds):
            note("python -c pass", started("-c", "pass"))
            note("import openai", started("-c", "import openai"))
            runs: list[tuple[float, float]] = []
            note("nightcap run, CPU", cpu_seconds(lambda: runs.append(run_job(folder))))  # noqa: B023
            note("nightcap run, first request", runs[0][0])
            note("nightcap run, end", runs[0][1])
    for what, seconds in taken.items():
        print(f"{what:28} {1000 * statistics.median(seconds):6.0f} ms, at least {1000 * min(seconds):6.0f}")


if __name__ == "__main__":
    main()
