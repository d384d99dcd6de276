"""A run may die before every single change that it makes to the disk: nothing acknowledged is lost, nothing doubled."""

import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.store.dataset import Store
from pipeline.store.status import iter_batches, read_status
from tests.store.rows import RUN, Killed, Killer, abandon, image, row, store

Rows = dict[str, str | None]

# Two nights. The second replaces rows of the first (k00 changed, k02 was asked again), repeats a key within one part
# (n1) and in two parts (n0), and merges its parts with the first one's.
FIRST = [[row(f"k{i:02}"), row(f"k{i + 1:02}")] for i in (0, 2)]
SECOND = [
    [row("n0"), row("k00", "v2")],
    [row("n1", reason="timeout", status="failed", caption=None), row("n2")],
    [row("n1", "v2"), row("k02", caption="asked again")],
    [row("n3"), row("n0", "v2")],
]


def first_night(root: Path) -> None:
    for number, group in enumerate(FIRST):
        with store(root, run_id=f"20261120-{number}", rows_per_part=6) as night:
            night.append(group)


def second_night(root: Path, killer: Killer, begin: int = 0) -> int:
    """Append what is left and close; the number of groups that were acknowledged before the end, or the kill."""
    running: Store | None = None
    acknowledged = begin
    try:
        running = store(root, step=killer, rows_per_part=6)
        for group in SECOND[begin:]:
            running.append(group)
            acknowledged += 1
        running.merge_small_parts()
        running.close()
    except Killed:
        if running and not running._closed:
            abandon(running)
    return acknowledged


def rows_after(groups: int) -> Rows:
    return {record.key: record.caption for group in (*FIRST, *SECOND[:groups]) for record in group}


def rows_in(root: Path) -> Rows:
    """What a reader of ours sees: each key once."""
    batches = list(iter_batches(str(root), ["key", "caption"]))
    pairs = [(item["key"], item["caption"]) for batch in batches for item in batch.to_pylist()]
    assert len(pairs) == len(dict(pairs)), "a key came twice"
    return dict(pairs)


def check_killed(root: Path, acknowledged: int) -> int:
    """Nothing acknowledged is lost; a group that was under way is there wholly or not at all. Groups that are there."""
    found = rows_in(root)
    if found == rows_after(acknowledged):
        return acknowledged
    assert found == rows_after(acknowledged + 1)
    return acknowledged + 1


def finish(root: Path, begin: int) -> None:
    """The run after the last kill; then foreign readers see each key once."""
    with store(root, rows_per_part=6) as running:
        assert all(running.finished_status(image(key)) for key in ("k01", "k03"))
        if begin == len(SECOND):
            assert running.finished_status(image("n0", "v2"))
            assert not running.finished_status(image("k00", "v1"))
        for group in SECOND[begin:]:
            running.append(group)
    pairs = duckdb.execute(f"SELECT key, caption FROM read_parquet('{root}/*.parquet')").fetchall()
    assert len(pairs) == len(dict(pairs))
    assert dict(pairs) == rows_after(len(SECOND)) == rows_in(root)
    assert not list((root / "_nightcap" / "writing").iterdir())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first night left; to be copied."""
    root = tmp_path_factory.mktemp("first") / "out"
    first_night(root)
    return root


@pytest.fixture(scope="module")
def steps(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Changes to the disk in the second night."""
    root = shutil.copytree(finished, tmp_path_factory.mktemp("count") / "out")
    killer = Killer()
    assert second_night(root, killer) == len(SECOND)
    assert len(list(root.glob("*.parquet"))) == 2
    return killer.steps


@pytest.mark.parametrize("power_loss", [False, True], ids=["killed", "power loss"])
def test_killed_before_every_change(tmp_path: Path, finished: Path, steps: int, power_loss: bool) -> None:
    for at in range(1, steps + 1):
        root = shutil.copytree(finished, tmp_path / str(at))
        acknowledged = second_night(root, Killer(at, power_loss=power_loss))
        for path in root.glob("*.parquet"):
            pq.read_table(path)
        finish(root, check_killed(root, acknowledged))


@pytest.mark.parametrize("power_loss", [False, True], ids=["killed", "power loss"])
def test_killed_again_and_again_while_recovering(tmp_path: Path, finished: Path, steps: int, power_loss: bool) -> None:
    for at in range(2, steps + 1, 9):
        root = shutil.copytree(finished, tmp_path / str(at))
        killer = Killer(at)
        there = check_killed(root, second_night(root, killer))
        for again in range(1, steps, 3):
            killer.again(again, power_loss=power_loss)
            there = check_killed(root, second_night(root, killer, begin=there))
        finish(root, there)


def test_readers_see_every_acknowledged_row_before_every_change(tmp_path: Path, finished: Path) -> None:
    root = shutil.copytree(finished, tmp_path / "out")
    acknowledged = 0
    seen: list[int] = []

    class Reader(Killer):
        def __call__(self, verb: str, path: Path) -> None:
            super().__call__(verb, path)
            seen.append(check_killed(root, acknowledged))
            assert read_status(str(root)).rows == len(rows_after(seen[-1]))

    with store(root, step=Reader(), rows_per_part=6) as running:
        for group in SECOND:
            running.append(group)
            acknowledged += 1
            check_killed(root, acknowledged)
        running.merge_small_parts()
    assert seen == sorted(seen)
    assert len(seen) > 20


def test_a_part_that_a_dead_run_announced_is_named_after_no_other(tmp_path: Path) -> None:
    """Two runs that die at the same place leave parts with different names."""
    for run in ("one", "two"):
        dying = store(tmp_path, run_id=run)
        dying.append([row(run)])
        abandon(dying)
    with store(tmp_path, run_id=RUN):
        pass
    assert [path.name for path in sorted(tmp_path.glob("*.parquet"))] == [
        "part-00000001-two.parquet",
        f"part-00000002-{RUN}.parquet",
    ]
