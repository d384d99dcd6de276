"""Raw replies beside the parts: each line once, whatever a run dies of, and in nobody's way."""

import gzip
import json
import shutil
from itertools import count
from pathlib import Path

import duckdb
import pandas
import pyarrow.dataset
import pytest

from pipeline.store.dataset import Store
from pipeline.store.status import read_status
from tests.store.faulty import FaultyBucket, remote_store
from tests.store.rows import Killed, Killer, SetClock, abandon, row, store

GROUPS = [[row(f"k{number}"), row(f"k{number + 1}")] for number in (0, 2, 4, 6, 8)]


def line(number: int) -> bytes:
    return json.dumps({"key": f"k{number}", "body": "é" * 10}).encode() + b"\n"


def lines_in(root: Path) -> list[bytes]:
    files = sorted((root / "_nightcap" / "raw").glob("*"))
    return [found for file in files for found in gzip.decompress(file.read_bytes()).splitlines(keepends=True)]


def night(root: Path, killer: Killer | None, run_id: str, begin: int = 0) -> int:
    """Append what is left, with two replies for each group; the number of groups that were acknowledged."""
    running: Store | None = None
    acknowledged = begin
    try:
        running = store(root, step=killer, run_id=run_id, rows_per_part=4)
        for number, group in enumerate(GROUPS[begin:], begin):
            running.append(group, line(2 * number) + line(2 * number + 1))
            acknowledged += 1
        running.append([], line(10))  # of an image that is not done yet
        acknowledged += 1
        running.close()
    except Killed:
        if running and not running._closed:
            abandon(running)
    return acknowledged


def test_a_file_with_each_part_and_readers_of_the_rows_see_none(tmp_path: Path) -> None:
    root = tmp_path / "out"
    night(root, None, "run-1")
    night(root, None, "run-2", begin=4)
    assert sorted(path.name for path in (root / "_nightcap" / "raw").iterdir()) == [
        "run-1-00000.jsonl.gz", "run-1-00001.jsonl.gz", "run-1-00002.jsonl.gz", "run-2-00000.jsonl.gz"
    ]  # fmt: skip
    assert lines_in(root) == [line(number) for number in (*range(11), 8, 9, 10)]
    status = read_status(str(root))
    assert status.raw_files == 4
    assert status.raw_bytes == sum(path.stat().st_size for path in (root / "_nightcap" / "raw").iterdir())
    assert duckdb.sql(f"select count(*) from '{root}/*.parquet'").fetchall() == [(10,)]
    assert duckdb.sql(f"select count(*) from '{root}/**/*.parquet'").fetchall() == [(10,)]
    assert len(pandas.read_parquet(root)) == 10
    assert pyarrow.dataset.dataset(root).count_rows() == 10
    joined = f"select count(*) from '{root}/*.parquet' join '{root}/_nightcap/raw/*.jsonl.gz' using (key)"
    assert duckdb.sql(joined).fetchall() == [(12,)]


def test_none_where_none_is_kept(tmp_path: Path) -> None:
    with store(tmp_path / "out") as running:
        running.append(GROUPS[0])
    assert not (tmp_path / "out" / "_nightcap" / "raw").exists()
    assert read_status(str(tmp_path / "out")).raw_files == 0


@pytest.mark.parametrize("power_loss", [False, True], ids=["killed", "power loss"])
def test_killed_before_every_change(tmp_path: Path, power_loss: bool) -> None:
    """What was acknowledged is there once when the next run has begun; what was under way wholly or not at all."""
    for at in count(1):
        root = tmp_path / str(at)
        killer = Killer(at, power_loss=power_loss)
        acknowledged = night(root, killer, "run-1")
        if killer.steps < at:
            return
        killer.again(3, power_loss=False)  # while it recovers
        night(root, killer, "run-2", begin=len(GROUPS))
        with store(root, run_id="run-3"):
            pass
        found = lines_in(root)
        expected = [line(number) for number in range(min(2 * acknowledged, 11))]
        more = [line(number) for number in range(len(expected), min(len(expected) + 2, 11))]
        assert found in (expected, expected + more), (at, acknowledged)
        shutil.rmtree(root)


def test_in_a_bucket(tmp_path: Path) -> None:
    clock = SetClock()
    bucket = FaultyBucket("raw-replies", clock)
    with remote_store(bucket, tmp_path, clock, "run-1") as running:
        running.append(GROUPS[0], line(0) + line(1))
    [name] = [key for key in bucket.children("out/_nightcap/raw") if key.endswith(".jsonl.gz")] or [""]
    assert gzip.decompress(bucket.get(name).data) == line(0) + line(1)
