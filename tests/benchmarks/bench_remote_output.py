"""What another machine reads of an output in an object store before it goes on, beside the same parts on a disk.

    python -m tests.benchmarks.bench_remote_output [--parts 10] [--rows-per-part 20000] [--round-trip-ms 30]

The store is in memory, and each request waits for a round trip; so the time is what the requests wait for, and what
decoding takes.
"""

import argparse
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.clock import SystemClock
from pipeline.items import SourceImage
from pipeline.objects import Objects, open_objects
from pipeline.store.dataset import Store
from pipeline.store.folders.bucket import Bucket
from pipeline.store.folders.folder import Folder
from pipeline.store.folders.local import LocalFolder
from pipeline.store.folders.remote import RemoteFolder
from pipeline.store.options import StoreOptions
from tests.benchmarks.bench_store import REQUEST, key, make_records, version


class FarBucket(Bucket):
    """Every request takes a round trip."""

    def __init__(self, objects: Objects, seconds: float) -> None:
        super().__init__(objects)
        self._seconds = seconds
        self.requests = self.bytes = 0

    def _wait(self) -> None:
        self.requests += 1
        time.sleep(self._seconds)

    def ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self._wait()
        self.bytes += sum(end - begin for begin, end in ranges)
        return super().ranges(key, ranges)

    def children(self, prefix: str) -> dict[str, int]:
        self._wait()
        return super().children(prefix)

    def size(self, key: str) -> int:
        self._wait()
        return super().size(key)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--rows-per-part", type=int, default=20_000)
    parser.add_argument("--round-trip-ms", type=float, default=30.0)
    options = parser.parse_args()
    rows = options.parts * options.rows_per_part
    records = make_records(rows)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        bucket = FarBucket(open_objects(f"memory://{secrets.token_hex(4)}"), options.round_trip_ms / 1000)

        def remote(machine: str) -> Folder:
            return RemoteFolder("memory://out", "out", bucket, bucket, root / machine)

        for folder in (LocalFolder(root / "local"), remote("first")):
            with _store(folder, options.rows_per_part) as running:
                for begin in range(0, rows, 256):
                    running.append(records[begin : begin + 256])
        whole = sum(size for name, size in bucket.children("out").items() if name.endswith(".parquet"))
        near = _seconds_to_open(LocalFolder(root / "local"), options.rows_per_part, rows)
        bucket.requests = bucket.bytes = 0
        far = _seconds_to_open(remote("second"), options.rows_per_part, rows)
    print(f"{rows:,} rows in {options.parts} parts, {whole / 1e6:.1f} MB")
    print(f"resume on a disk           {near:6.2f} s")
    print(f"resume from a bucket       {far:6.2f} s   {far / near:.1f} times, {options.round_trip_ms:g} ms a request")
    print(f"  read                     {bucket.bytes / 1e6:6.1f} MB  {bucket.bytes / whole:.0%} of the parts")
    print(f"  requests                 {bucket.requests:6}    {bucket.requests / options.parts:.1f} a part")


def _store(folder: Folder, rows_per_part: int) -> Store:
    return Store(folder, StoreOptions(rows_per_part=rows_per_part), SystemClock(), "20261121T000000Z-x", REQUEST)


def _seconds_to_open(folder: Folder, rows_per_part: int, rows: int) -> float:
    began = time.perf_counter()
    running = _store(folder, rows_per_part)
    seconds = time.perf_counter() - began
    assert running.finished_status(SourceImage(key(rows - 1), "", version(rows - 1)))
    running._lock.release()
    return seconds


if __name__ == "__main__":
    main()
