"""Rows whose images are gone, and what is never taken for gone, also when killed before each change to the disk."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.clock import SystemClock
from pipeline.items import Failure
from pipeline.store import StoreOptions, compact, iter_batches
from pipeline.store.keys.prune import ListedKeys
from tests.store.rows import Killed, Killer, abandon, image, row, store

KEYS = ["a", "b", "c/d", "c/e", "shard.tar::f", "gone", "gone too"]
LISTED = ["a", "b", "c/", "shard.tar::", "new"]
KEPT = {"a", "b", "c/d", "c/e", "shard.tar::f"}


def keys(root: Path) -> list[str]:
    return sorted(key for batch in iter_batches(str(root), ["key"]) for key in batch["key"].to_pylist())


def listing(*names: str, prefixes: tuple[str, ...] = ()) -> ListedKeys:
    listed = ListedKeys(prefixes)
    assert [each.key for each in listed.of(map(image, names))] == list(names)
    return listed


def night(root: Path) -> None:
    for number in range(0, len(KEYS), 2):
        with store(root, run_id=f"20261120-{number}", rows_per_part=100) as opened:
            opened.append([row(key) for key in KEYS[number : number + 2]])


def test_what_is_gone_goes_and_what_could_not_be_looked_at_stays(tmp_path: Path) -> None:
    night(tmp_path)
    with store(tmp_path, run_id="20261121-1") as opened:
        opened.append([row("a", "v2"), row("gone", "v2")])
        assert opened.prune(listing(*LISTED)) == 2
        assert opened.prune(listing(*LISTED)) == 0
    assert keys(tmp_path) == sorted(KEPT)


def test_of_several_sources_one_that_lists_nothing_is_not_there(tmp_path: Path) -> None:
    with store(tmp_path) as opened:
        opened.append([row(key) for key in ("here/a", "here/gone", "disk/a", "disk/b")])
        assert opened.prune(listing("here/a", prefixes=("here/", "disk/"))) == 1
    assert keys(tmp_path) == ["disk/a", "disk/b", "here/a"]


def test_groups_of_which_one_cannot_be_looked_at_may_be_any(tmp_path: Path) -> None:
    """Their keys do not say where their images lie."""
    group = replace(image("red"), members=(image("here/a"), image("here/b")))
    with store(tmp_path) as opened:
        opened.append([row(key) for key in ("red", "blue")])
        for prefixes, more in ((("here/", "disk/"), []), ((), [image("shard.tar::")])):
            listed = ListedKeys(prefixes)
            assert len(list(listed.of([group, *more]))) == 1 + len(more)
            assert opened.prune(listed) == 0
        listed = ListedKeys(("here/",))
        assert list(listed.of([group])) == [group]
        assert opened.prune(listed) == 1
    assert keys(tmp_path) == ["red"]


@pytest.mark.parametrize(("prefixes", "kept"), [((), {"l/a", "l/b", "m/c"}), (("l/", "m/"), {"l/a", "l/b", "m/d"})])
def test_a_row_that_cannot_be_understood_may_be_any(tmp_path: Path, prefixes: tuple[str, ...], kept: set[str]) -> None:
    listed = ListedKeys(prefixes)
    invalid = replace(image("l/x.csv::3"), failure=Failure("invalid_row", "Line 3."))
    assert len(list(listed.of([image("l/a"), invalid, image("m/d")]))) == 3
    with store(tmp_path) as opened:
        opened.append([row(key) for key in ("l/a", "l/b", "m/c", *(["m/d"] if prefixes else []))])
        opened.prune(listed)
    assert set(keys(tmp_path)) == kept


@pytest.mark.parametrize("power_loss", [False, True])
def test_a_kill_at_any_moment_loses_no_row_that_stays(tmp_path: Path, power_loss: bool) -> None:
    night(tmp_path / "before")
    at = 0
    while True:
        at += 1
        root = tmp_path / "out"
        shutil.copytree(tmp_path / "before", root)
        killer, opened = Killer(at, power_loss=power_loss), None
        try:
            opened = store(root, step=killer, run_id="20261121-1")
            opened.prune(listing(*LISTED))
            opened.close()
        except Killed:
            if opened:
                abandon(opened)
        found = keys(root)
        assert set(found) >= KEPT
        assert len(found) == len(set(found))
        with store(root, run_id="20261122-1") as again:
            again.prune(listing(*LISTED))
        assert keys(root) == sorted(KEPT)
        if killer.steps < at:
            break
        shutil.rmtree(root)
    assert at > 8


def test_compact_merges_what_many_nights_left(tmp_path: Path) -> None:
    night(tmp_path)
    before = len(list(tmp_path.glob("part-*.parquet")))
    assert before == 4
    options = StoreOptions(rows_per_part=100)
    assert compact(str(tmp_path), options, SystemClock(), "20261121-1") == (4, 1)
    assert compact(str(tmp_path), options, SystemClock(), "20261121-2") == (1, 1)
    assert keys(tmp_path) == sorted(KEYS)


@pytest.mark.parametrize(("small_parts", "parts"), [(2, 1), (5, 4)])
def test_a_run_merges_when_there_are_many(tmp_path: Path, small_parts: int, parts: int) -> None:
    for number in range(4):
        with store(tmp_path, run_id=f"20261120-{number}", small_parts=small_parts) as opened:
            opened.append([row(str(number))])
    assert len([name for name in os.listdir(tmp_path) if name.startswith("part-")]) == parts
