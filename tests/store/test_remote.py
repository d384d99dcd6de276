"""An output in an object store whose requests are lost, done without an answer, refused; and machines that die."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import obstore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import NightcapError, UserError
from pipeline.objects import open_objects
from pipeline.store import try_output
from pipeline.store.dataset import Store
from pipeline.store.folders.folder import JOURNAL
from pipeline.store.folders.remote_lock import STALE_SECONDS
from pipeline.store.journal import read_journal
from tests.store.faulty import FAULTS, Fault, FaultyBucket, abandon, remote_store, rows_of
from tests.store.rows import Killed, SetClock, image, row

PART = 5
GROUP = 2
IMAGES = 14

names = (f"world-{number}" for number in count())


class World:
    """A bucket, some machines with state folders of their own, a source whose images change."""

    def __init__(self, folder: Path) -> None:
        self.bucket = next(names)
        self.folder = folder
        self.clock = SetClock()
        self.versions = {f"k{number:02}": "v0" for number in range(IMAGES)}
        self.nights = 0
        self.kept: set[tuple[str, str]] = set()
        """(key, version) that was acknowledged, and lies in a part or in the journal of a machine that is not lost."""

    def night(self, machine: int, faults: dict[int, Fault], images: int = IMAGES) -> None:
        """One run: asks what is not finished, until it ends or dies."""
        self.nights += 1
        self.clock.now += 2 * STALE_SECONDS
        running: Store | None = None
        try:
            bucket = FaultyBucket(self.bucket, self.clock, faults)
            running = remote_store(
                bucket, self.state(machine), self.clock, f"20261121T{self.nights:06}Z-x", rows_per_part=PART
            )
            self.ask(running, images)
            running.close()
        except Killed:
            if running and not running._closed:
                abandon(running)
        except NightcapError:
            if running:
                with suppress(NightcapError):
                    running.close()

    def ask(self, running: Store, images: int) -> None:
        todo = [(key, v) for key, v in self.versions.items() if not running.finished_status(image(key, v))][:images]
        for begin in range(0, len(todo), GROUP):
            group = todo[begin : begin + GROUP]
            running.append([row(key, v, run_id=running._run_id) for key, v in group])
            self.kept = {pair for pair in self.kept if pair[0] not in dict(group)} | set(group)
            self.clock.now += 30

    def state(self, machine: int) -> Path:
        return self.folder / str(machine)

    def waiting(self, machine: int) -> set[tuple[str, str]]:
        rows = read_journal(self.state(machine) / JOURNAL).select(["key", "source_version"]).to_pylist()
        return {(item["key"], item["source_version"]) for item in rows}

    def in_parts(self) -> set[tuple[str, str]]:
        return set(rows_of(self.bucket))


@contextmanager
def worlds() -> Iterator[World]:
    memory = Path("/dev/shm")  # a disk's fsync would be most of the time
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield World(Path(folder))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def check_night_after(world: World, machine: int) -> None:
    """A run without trouble: what is in the bucket or on this machine is not asked again; each key is there once."""
    there = {pair for pair in world.in_parts() | world.waiting(machine) if world.versions[pair[0]] == pair[1]}
    bucket = FaultyBucket(world.bucket, world.clock)
    world.nights += 1
    world.clock.now += 2 * STALE_SECONDS
    run_id = f"20261121T{world.nights:06}Z-x"
    with remote_store(bucket, world.state(machine), world.clock, run_id, rows_per_part=PART) as running:
        asked_again = {pair for pair in there if not running.finished_status(image(*pair))}
        assert not asked_again
    rows = rows_of(world.bucket)
    assert len(rows) == len(dict(rows)), "a key is there twice"
    assert there <= set(rows)


faults = st.dictionaries(st.integers(1, 40), st.sampled_from(FAULTS), max_size=4)
nights = st.tuples(st.integers(0, 1), faults, st.integers(1, IMAGES), st.booleans())


@settings(max_examples=20)
@given(st.lists(nights, min_size=1, max_size=5))
def test_whatever_happens_to_requests_and_processes(plan: list[tuple[int, dict[int, Fault], int, bool]]) -> None:
    """Two machines take turns; images change between nights. No acknowledged row is lost, none is paid for twice that
    the run could know of, and in the end each key is there once with its newest version."""
    with worlds() as world:
        for machine, fate, images, changes in plan:
            world.night(machine, fate, images)
            found: dict[str, str] = {}
            for key, version in sorted(world.in_parts() | world.waiting(0) | world.waiting(1)):
                found[key] = version
            assert all(found[key] >= version for key, version in world.kept), "an acknowledged row is lost"
            if changes:
                world.versions |= dict.fromkeys(list(world.versions)[:3], f"v{world.nights}")
        for machine in (0, 1):
            check_night_after(world, machine)
        world.night(0, {})
        assert dict(rows_of(world.bucket)) == world.versions
        assert len(rows_of(world.bucket)) == IMAGES


def test_a_look_at_an_output_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTCAP_STATE_DIR", str(tmp_path / "state"))
    assert try_output("memory://looked-at/out") == "memory://looked-at/out"
    assert not list(tmp_path.iterdir())
    assert not list(obstore.list(open_objects("memory://looked-at").store))
    (tmp_path / "state").touch()
    with pytest.raises(UserError, match="state"):
        try_output("memory://looked-at/out")
