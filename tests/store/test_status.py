"""What OUT holds, at any moment, and that common readers take it as it is."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from pipeline.errors import RunError, UserError
from pipeline.store import SCHEMA, ReasonCount, StoreOptions, compact, iter_batches, read_status, status
from pipeline.store.folders.folder import Folder
from pipeline.store.folders.local import LocalFolder
from tests.store.rows import RUN, SetClock, abandon, row, store

Action = Callable[[], object] | None
Reader = Callable[[Folder], int]

NIGHT = [
    row("a", cost_usd=Decimal("0.001000001"), cached_tokens=50, reasoning_tokens=5),
    row("b", model="gpt-4o-mini", cost_usd=None),
    row("c", status="truncated", reason="truncated", message="The answer was cut off.", cost_usd=Decimal("0.002")),
    row("d", status="failed", reason="undecodable", caption=None, attempts=0, prompt_tokens=None, cost_usd=None),
    *(
        row(f"t{n}", status="failed", reason="timeout", caption=None, prompt_tokens=None, cost_usd=None)
        for n in range(5)
    ),
]


def check(out: Path) -> None:
    found = read_status(str(out))
    assert found.rows == 9
    assert found.statuses == {"failed": 6, "captioned": 2, "truncated": 1}
    assert list(found.statuses) == ["failed", "captioned", "truncated"]
    timeout, *others = found.reasons
    assert (timeout.reason, timeout.rows, len(set(timeout.examples))) == ("timeout", 5, 3)
    assert set(timeout.examples) < {"t0", "t1", "t2", "t3", "t4"}
    assert others == [
        ReasonCount("truncated", 1, ("c",), "The answer was cut off."),
        ReasonCount("undecodable", 1, ("d",), ""),
    ]
    assert found.models == {"gpt-4o": 8, "gpt-4o-mini": 1}
    assert (found.prompt_tokens, found.cached_tokens, found.reasoning_tokens) == (300, 50, 5)
    assert found.cost_usd == Decimal("0.003000001")
    assert found.unpriced == 1
    assert found.to_dict()["cost_usd"] == "0.003000001"


def test_rows_count_the_same_in_the_journal_in_parts_and_half_way(tmp_path: Path) -> None:
    with store(tmp_path) as running:
        running.append([row("d"), row("t0")])  # asked again below
        running.append(NIGHT[:5])
        running.append(NIGHT[5:])
        check(tmp_path)
        running.write_run({"run_id": RUN})
    check(tmp_path)
    assert read_status(str(tmp_path)).runs == ({"run_id": RUN},)
    with store(tmp_path, rows_per_part=2) as running:
        running.append(NIGHT[::2])
        running.append(NIGHT[1:2])
        check(tmp_path)
    check(tmp_path)


def test_rows_of_a_dead_run_count(tmp_path: Path) -> None:
    dead = store(tmp_path)
    dead.append(NIGHT)
    abandon(dead)
    check(tmp_path)


def test_an_empty_output_is_one(tmp_path: Path) -> None:
    store(tmp_path).close()
    assert read_status(str(tmp_path)).rows == 0
    assert list(iter_batches(str(tmp_path), ["key"])) == []


@pytest.mark.parametrize("name", ["nothing", "empty", "nothing.parquet"])
def test_what_is_no_output_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    for read in (read_status, lambda out: iter_batches(out, ["key"])):
        with pytest.raises(UserError, match="is not an output of Nightcap"):
            read(str(tmp_path / name))


def test_the_single_files_name_names_the_output(tmp_path: Path) -> None:
    with store(tmp_path / "captions") as running:
        running.append([row("a")])
    assert read_status(str(tmp_path / "captions.parquet")).rows == 1


def test_batches_have_the_columns_that_were_asked_for(tmp_path: Path) -> None:
    with store(tmp_path, rows_per_part=2) as running:
        running.append([row("a"), row("b")])
        running.append([row("b", "v2")])
        batches = list(iter_batches(str(tmp_path), ["caption", "metadata", "key"]))
        table = pa.Table.from_batches(batches)
        assert table.schema.names == ["caption", "metadata", "key"]
        assert dict(zip(table["key"].to_pylist(), table["caption"].to_pylist(), strict=True)) == {
            "a": "caption of a v1",
            "b": "caption of b v2",
        }
        whole = pa.Table.from_batches(iter_batches(str(tmp_path), SCHEMA.names))
        assert whole.schema.equals(SCHEMA)


class Busy(LocalFolder):
    """An output whose run does something just before, or just after, a reader lists the parts."""

    def __init__(self, root: Path, *, before: Action = None, after: Action = None) -> None:
        super().__init__(root)
        self._before, self._after = before, after

    def part_names(self) -> list[str]:
        before, self._before = self._before, None
        if before:
            before()
        names = super().part_names()
        after, self._after = self._after, None
        if after:
            after()
        return names


def seen(folder: Folder) -> list[tuple[str, str]]:
    batches = status._batches(folder, ["key", "source_version"])
    return sorted((r["key"], r["source_version"]) for batch in batches for r in batch.to_pylist())


def rows_seen(folder: Folder) -> int:
    return len(seen(folder))


def rows_counted(folder: Folder) -> int:
    return status._status(folder, "out").rows


@pytest.mark.parametrize("read", [rows_seen, rows_counted])
@pytest.mark.parametrize(("moment", "rows"), [("before", 3), ("after", 2)])
def test_a_part_that_is_cut_while_somebody_reads(tmp_path: Path, moment: str, rows: int, read: Reader) -> None:
    """The journal was read when the part is cut: its rows are seen twice, or only there."""
    with store(tmp_path, rows_per_part=3) as running:
        running.append([row("a"), row("b")])
        assert read(Busy(tmp_path, **{moment: lambda: running.append([row("c")])})) == rows
        assert len(list(tmp_path.glob("*.parquet"))) == 1


@pytest.mark.parametrize("read", [rows_seen, rows_counted])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_parts_that_are_merged_while_somebody_reads(tmp_path: Path, moment: str, read: Reader) -> None:
    for n in range(4):
        with store(tmp_path) as night:
            night.append([row(f"k{n}")])
    with store(tmp_path) as running:
        running.append([row("k0", "v2")])
        assert read(Busy(tmp_path, **{moment: running.merge_small_parts})) == 4
        assert len(list(tmp_path.glob("*.parquet"))) == 1


def test_batches_go_on_when_parts_are_merged_half_way(tmp_path: Path) -> None:
    for n in range(4):
        with store(tmp_path) as running:
            running.append([row(f"k{n}"), row(f"k{n}b")])
    batches = iter_batches(str(tmp_path), ["caption"])
    taken = [next(batches)]
    compact(str(tmp_path), StoreOptions(), SetClock(), RUN)
    with store(tmp_path) as running:
        running.append([row("k0", "v2"), row("k3", "v2")])
    taken += batches
    captions = [value for batch in taken for value in batch["caption"].to_pylist()]
    assert sorted(captions) == sorted(
        ["caption of k0 v1", "caption of k3 v2"]
        + [f"caption of {key} v1" for key in ("k0b", "k1", "k1b", "k2", "k2b", "k3b")]
    )


def test_an_output_that_is_deleted_while_somebody_reads(tmp_path: Path) -> None:
    with store(tmp_path / "out") as running:
        running.append([row("a")])
    with pytest.raises(UserError, match="is not an output of Nightcap"):
        seen(Busy(tmp_path / "out", after=lambda: shutil.rmtree(tmp_path / "out")))


def test_reading_from_one_thread_while_another_writes(tmp_path: Path) -> None:
    """Parts are cut, replaced and merged as fast as they can be."""
    acknowledged = 0
    stop = threading.Event()
    store(tmp_path).close()

    def write() -> None:
        nonlocal acknowledged
        while not stop.is_set():
            with store(tmp_path, rows_per_part=3) as running:
                for _ in range(12):
                    running.append([row(f"{acknowledged}"), row(f"{acknowledged + 1}"), row("0", f"v{acknowledged}")])
                    acknowledged += 2

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        try:
            for _ in range(8):
                at_least = acknowledged
                rows, keys = read_status(str(tmp_path)).rows, [key for key, _ in seen(LocalFolder(tmp_path))]
                assert at_least <= rows <= len(keys) == len(set(keys)) <= acknowledged + 2
        finally:
            stop.set()
        written.result()


def test_common_readers_take_the_folder_as_it_is(tmp_path: Path) -> None:
    with store(tmp_path, rows_per_part=4) as running:
        running.append(NIGHT[:4])
        running.append([row("m", metadata={"album": "A"})])
        first = f"SELECT count(*), sum(cost_usd), min(started_at)::VARCHAR FROM read_parquet('{tmp_path}/*.parquet')"
        assert duckdb.execute(first).fetchall()[0][0] == 4
        assert len(pd.read_parquet(tmp_path)) == 4
    frame = pd.read_parquet(tmp_path)
    assert list(frame.columns) == SCHEMA.names
    assert str(frame["started_at"].dtype) == "datetime64[us, UTC]"
    table = ds.dataset(tmp_path).to_table()
    assert table.schema.equals(SCHEMA)
    assert table.schema.field("bytes").metadata[b"unit"] == b"byte"
    types = dict(
        duckdb.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{tmp_path}/*.parquet')").fetchall()
    )
    assert types["cost_usd"] == "DECIMAL(18,9)"
    assert types["metadata"] == "MAP(VARCHAR, VARCHAR)"
    assert types["content_filter"] == 'STRUCT(category VARCHAR, severity VARCHAR, filtered BOOLEAN, "where" VARCHAR)[]'
    album = duckdb.execute(f"SELECT metadata['album'] FROM '{tmp_path}/*.parquet' WHERE key = 'm'").fetchall()
    assert album == [("A",)]


def test_a_part_that_is_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "_nightcap").mkdir()
    (tmp_path / "part-00000001-x.parquet").symlink_to(tmp_path / "annex")
    with pytest.raises(RunError, match=r"part-00000001-x\.parquet is a link to a file that is not there"):
        read_status(str(tmp_path))
