"""The store beside what it is made of, in the same run.

    python -m tests.benchmarks.bench_store [--rows 50000] [--resume-rows 1000000] [--keep FOLDER]

Prints rows per second of durable appends and part cutting beside a plain pyarrow write of the same rows; then, over
synthetic finished rows, what a resumed run waits for and needs in memory, beside DuckDB's anti-join on the same files,
and what `nightcap status` costs. `--keep` keeps the synthetic parts for the next time.
"""

import argparse
import gc
import hashlib
import random
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clock import SystemClock
from pipeline.items import FilterResult, Record, SourceImage
from pipeline.store import SCHEMA, StoreOptions, open_store, read_status, records_to_batch
from pipeline.store.dataset import Store
from pipeline.store.folders.local import LocalFolder
from pipeline.store.parts import next_name, write_part

REQUEST = "9f86d081884c7d659a2feaa0c55ad015"
RUN = "20261121T204700Z-1a2b3c"
GROUP = 256
PART = 50_000


def make_records(count: int) -> list[Record]:
    """Rows of an Azure run: a caption of 60 words, eight filter results."""
    chance = random.Random(7)
    words = ["".join(chance.choices("aeiourstlnmpd", k=chance.randint(2, 9))) for _ in range(3000)]
    begun = datetime(2026, 11, 21, tzinfo=UTC)
    verdicts = tuple(
        FilterResult(category, "safe", False, where)
        for where in ("prompt", "completion")
        for category in ("hate", "self_harm", "sexual", "violence")
    )
    records = []
    for n in range(count):
        prompt, answer = chance.randint(100, 2000), chance.randint(40, 120)
        records.append(
            Record(
                key=key(n),
                uri=f"file:///data/{key(n)}",
                source_version=version(n),
                content_hash=f"blake2b:{chance.getrandbits(128):032x}",
                width=chance.randint(300, 5000),
                height=chance.randint(300, 5000),
                format="jpeg",
                bytes=chance.randint(10**5, 10**7),
                status="captioned",
                caption=" ".join(chance.choices(words, k=60)),
                provider="azure",
                model="gpt-4o",
                model_returned="gpt-4o-2024-08-06",
                deployment="captions-eu",
                detail="high",
                sent_width=1024,
                sent_height=768,
                sent_bytes=chance.randint(50_000, 200_000),
                sent_format="jpeg",
                predicted_prompt_tokens=prompt,
                predicted_image_tokens=765,
                prompt_tokens=prompt,
                completion_tokens=answer,
                total_tokens=prompt + answer,
                cached_tokens=0,
                reasoning_tokens=0,
                cost_usd=Decimal(prompt * 25 + answer * 100) / 10_000_000,
                price_date=date(2026, 11, 1),
                finish_reason="stop",
                content_filter=verdicts,
                attempts=1,
                latency_ms=chance.randint(500, 9000),
                queue_ms=chance.randint(0, 900),
                request_id=f"chatcmpl-{chance.getrandbits(116):029x}",
                request_hash=REQUEST,
                run_id=RUN,
                started_at=begun + timedelta(milliseconds=20 * n),
                finished_at=begun + timedelta(milliseconds=20 * n + 1500),
            )
        )
    return records


def key(n: int) -> str:
    return f"photos/2026/{n % 977:03d}/IMG_{n:09d}.jpg"


def version(n: int) -> str:
    return f"{n * 7919 % 10**7}-{1763700000000000000 + n * 7919}"


def content_hash(n: int) -> str:
    return f"blake3:{hashlib.sha256(str(n).encode()).hexdigest()}"


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def bench_append(folder: Path, records: list[Record]) -> None:
    groups = [records[at : at + GROUP] for at in range(0, len(records), GROUP)]

    def append() -> None:
        with open_store(str(folder / "out"), StoreOptions(rows_per_part=PART), SystemClock(), RUN, REQUEST) as store:
            for group in groups:
                store.append(group)

    def columns() -> None:
        table = pa.Table.from_batches([records_to_batch(group) for group in groups])
        pq.write_table(table, folder / "columns.parquet", compression="zstd")

    def dicts() -> None:
        table = pa.Table.from_pylist([asdict(record) for record in records], SCHEMA)
        pq.write_table(table, folder / "dicts.parquet", compression="zstd")

    gc.freeze()  # a run holds a few hundred records, not all of them
    convert = min(seconds(lambda: records_to_batch(groups[0])) for _ in range(50))
    print(f"{GROUP} records that were just made to Arrow: {convert / GROUP * 1e6:.1f} us a row")
    ours, plain, naive = seconds(append), seconds(columns), seconds(dicts)
    gc.unfreeze()
    print(f"append with a commit per {GROUP} rows, parts of {PART}: {len(records) / ours:,.0f} rows/s")
    print(f"  {ours / plain:.2f} times a plain pyarrow write of our columns, without journal, fsync or sorting")
    print(f"  {ours / naive:.2f} times a plain pyarrow write of dicts")
    ours_bytes = sum(path.stat().st_size for path in (folder / "out").glob("*.parquet"))
    plain_bytes = (folder / "columns.parquet").stat().st_size
    print(
        f"  {ours_bytes / len(records):.0f} bytes a row on disk, {ours_bytes / plain_bytes:.2f} of pyarrow's defaults"
    )


def bench_moved(folder: Path, records: list[Record]) -> None:
    """What a moved image costs instead of a request: its row, found by content in what `bench_append` wrote."""
    with open_store(str(folder / "out"), StoreOptions(rows_per_part=PART), SystemClock(), RUN, REQUEST) as store:
        store.load_captions()
        listed = [record.content_hash or "" for record in sorted(records[:PART], key=lambda record: record.key)]
        chance = random.Random(3).sample(listed, 100)
        in_order, anyhow = (
            seconds(lambda hashes=hashes: [store.find_caption(each, "") for each in hashes]) / len(hashes)
            for hashes in (listed[:5000], chance)
        )
    print(f"a moved image found by its content: {in_order * 1e6:.0f} us in the order of a listing, ", end="")
    print(f"{anyhow * 1e3:.1f} ms in any other")


def make_finished(folder: Path, count: int) -> None:
    """Parts as a run leaves them, in the columns that resume reads; the others are null."""
    parts = LocalFolder(folder)
    parts.create()
    for begin in range(0, count, PART):
        numbers = range(begin, min(begin + PART, count))
        given = {
            "key": [key(n) for n in numbers],
            "source_version": [version(n) for n in numbers],
            "content_hash": [content_hash(n) for n in numbers],
            "status": ["failed" if n % 50 == 0 else "captioned" for n in numbers],
            "reason": [("timeout" if n % 100 else "undecodable") if n % 50 == 0 else None for n in numbers],
            "request_hash": [REQUEST] * len(numbers),
        }
        arrays = [
            pa.array(given[f.name], f.type) if f.name in given else pa.nulls(len(numbers), f.type) for f in SCHEMA
        ]
        write_part(parts, next_name(parts, RUN), pa.Table.from_arrays(arrays, schema=SCHEMA).sort_by("key"))


def peak_mb() -> float:
    """Of this process; `ru_maxrss` would include what its parent had in use when it forked."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def resume(folder: Path, count: int) -> tuple[float, float, float]:
    """Seconds to open, peak megabytes, and microseconds for one question."""
    opened: list[Store] = []
    took = seconds(lambda: opened.append(open_store(str(folder), StoreOptions(), SystemClock(), RUN, REQUEST)))
    peak = peak_mb()
    store = opened[0]
    asked = [SourceImage(key(n), "", version(n)) for n in random.Random(1).sample(range(count), min(count, 100_000))]
    each = seconds(lambda: [store.finished_status(image) for image in asked]) / len(asked)
    unfinished = sum(not store.finished_status(SourceImage(key(n), "", version(n))) for n in range(0, count, 1000))
    assert unfinished == 0, "every thousandth row is undecodable, which is finished"
    store.close()
    return took, peak, each * 1e6


def captions(folder: Path, count: int) -> tuple[float, float, float]:
    """Seconds to take in whose content is captioned, after opening; peak megabytes of both; microseconds a question."""
    with open_store(str(folder), StoreOptions(), SystemClock(), RUN, REQUEST) as store:
        took = seconds(store.load_captions)
        peak = peak_mb()
        asked = [content_hash(n) for n in random.Random(1).sample(range(2 * count), 10_000)]
        found = 0

        def ask() -> None:
            nonlocal found
            found = sum(map(store.may_have_caption, asked))

        each = seconds(ask) / len(asked)
    assert 0.4 < found / len(asked) < 0.6, "half of them are of the output"
    return took, peak, each * 1e6


def anti_join(folder: Path, count: int) -> tuple[float, float, float]:
    """Seconds for DuckDB to find what is left of a listing of the same images, and peak megabytes."""
    query = f"""
        WITH rows AS (FROM read_parquet('{folder}/*.parquet')),
        finished AS (FROM rows WHERE request_hash = '{REQUEST}' AND coalesce(reason, '') <> 'timeout')
        SELECT count(*) FROM (SELECT key, source_version FROM rows)
        ANTI JOIN (SELECT key, source_version FROM finished) USING (key, source_version)"""
    duckdb.execute("SET enable_progress_bar = false")
    left: list[tuple[int]] = []
    took = seconds(lambda: left.extend(duckdb.execute(query).fetchall()))
    assert left == [(sum(bool(n % 100) for n in range(0, count, 50)),)]
    return took, peak_mb(), 0.0


def status(folder: Path, count: int) -> tuple[float, float, float]:
    took = seconds(lambda: read_status(str(folder)))
    return took, peak_mb(), 0.0


def alone(
    work: Callable[[Path, int], tuple[float, float, float]], folder: Path, count: int
) -> tuple[float, float, float]:
    """In a process of its own, so that its peak is its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, folder, count).result()


def bench_resume(folder: Path, count: int) -> None:
    if not folder.exists():
        print(f"laying down {count:,} rows took {seconds(lambda: make_finished(folder, count)):.0f} s")
    ours, memory, question = alone(resume, folder, count)
    theirs, their_memory, _ = alone(anti_join, folder, count)
    print(
        f"opening an output of {count:,} rows: {ours:.1f} s and {memory:.0f} MB at most; {question:.1f} us a question"
    )
    print(f"  DuckDB's anti-join: {theirs:.1f} s and {their_memory:.0f} MB; ours is {ours / theirs:.2f} of it in time")
    loaded, loaded_memory, probe = alone(captions, folder, count)
    print(f"whose content is captioned: {loaded:.1f} s more, once there is something to ask; ", end="")
    print(f"{loaded_memory:.0f} MB at most for both; {probe:.1f} us a question")
    counted, status_memory, _ = alone(status, folder, count)
    print(f"status of it: {counted:.1f} s and {status_memory:.0f} MB at most")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--resume-rows", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.rows:
            records = make_records(options.rows)
            bench_append(Path(temporary), records)
            bench_moved(Path(temporary), records)
        if options.resume_rows:
            bench_resume(options.keep or Path(temporary, "finished"), options.resume_rows)


if __name__ == "__main__":
    main()
