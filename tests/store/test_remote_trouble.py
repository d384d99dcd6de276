"""One kind of trouble at a time: a store that is away, lists late, or takes no conditions; a lock that is lost."""

import json
import logging
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.errors import RunError, Unavailable, UserError
from pipeline.store.folders.bucket import Unconditional, Version
from pipeline.store.folders.remote_lock import BEAT_SECONDS, STALE_SECONDS
from pipeline.store.patience import PATIENCE_SECONDS
from tests.store.faulty import FaultyBucket, abandon, remote_store, rows_of
from tests.store.rows import Killed, SetClock, image, row

RUNS = [f"20261121T00000{number}Z-x" for number in range(6)]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A bucket of its own for each test."""
    return str(request.node.name)


def test_while_the_store_is_away_rows_wait_and_then_become_one_part(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SetClock()
    bucket = FaultyBucket(name, clock)
    with remote_store(bucket, tmp_path, clock, RUNS[0], rows_per_part=3) as running, caplog.at_level(logging.INFO):
        running.append([row("a"), row("b"), row("c")])
        bucket.away = True
        for number in range(80):
            clock.now += 10
            running.append([row(f"k{number:02}")])
        tries = len(bucket.requests)
        assert tries < 40, "a store that is away is not asked with every row"
        assert len(rows_of(name)) == 3
        bucket.away = False
        clock.now += 60
        running.append([])
        assert len(rows_of(name)) == 83
    assert caplog.messages == [
        "memory:// cannot be reached. The run goes on; answers wait on this machine.",
        "The output is there again, after 840 s.",
    ]


def test_a_store_that_stays_away_stops_the_run_and_the_next_one_brings_the_rows(tmp_path: Path, name: str) -> None:
    clock = SetClock()
    bucket = FaultyBucket(name, clock)
    running = remote_store(bucket, tmp_path, clock, RUNS[0], rows_per_part=1)
    bucket.away = True
    begun, kept = clock.now, 0
    sentence = rf"cannot be reached\. What was answered waits in {tmp_path}, for the next run on this machine\."
    with pytest.raises(RunError, match=sentence):  # noqa: PT012  which append it is, is the question
        for kept in range(1000):
            running.append([row(f"k{kept:03}")])
            clock.now += 30
    assert PATIENCE_SECONDS <= clock.now - begun <= PATIENCE_SECONDS + 90
    with pytest.raises(RunError):
        running.close()
    assert rows_of(name) == []
    clock.now += STALE_SECONDS
    with remote_store(FaultyBucket(name, clock), tmp_path, clock, RUNS[1]) as after:
        assert after.finished_status(image(f"k{kept:03}"))
    assert len(rows_of(name)) == kept + 1


def test_a_store_that_is_away_at_the_beginning(tmp_path: Path, name: str) -> None:
    clock = SetClock()
    bucket = FaultyBucket(name, clock)
    bucket.away = True
    with pytest.raises(Unavailable):
        remote_store(bucket, tmp_path, clock, RUNS[0])


def test_access_that_is_taken_away_stops_the_run_at_once(tmp_path: Path, name: str) -> None:
    """Expired credentials do not come back by waiting; nothing is lost."""
    clock = SetClock()

    class Expiring(FaultyBucket):
        def put(self, key: str, content: bytes | Path) -> None:
            raise UserError("The credentials have expired.")

    running = remote_store(Expiring(name, clock), tmp_path, clock, RUNS[0], rows_per_part=1)
    with pytest.raises(RunError, match="have expired"):
        running.append([row("a")])
    with pytest.raises(RunError, match="have expired"):
        running.close()
    remote_store(FaultyBucket(name, clock), tmp_path, clock, RUNS[1]).close()
    assert rows_of(name) == [("a", "v1")]


def test_a_put_that_arrives_late_does_not_undo_a_later_one(tmp_path: Path, name: str) -> None:
    """It was given up, its rows were put under another name, and then the store does it all the same."""
    clock = SetClock()
    late: list[tuple[str, bytes]] = []

    class Slow(FaultyBucket):
        def put(self, key: str, content: bytes | Path) -> None:
            if not late and isinstance(content, Path) and "part-" in key:
                late.append((key, content.read_bytes()))
                raise Unavailable("timed out")
            super().put(key, content)

    bucket = Slow(name, clock)
    with remote_store(bucket, tmp_path, clock, RUNS[0], rows_per_part=1) as running:
        running.append([row("a")])
        clock.now += 60
        running.append([row("b"), row("a", "v2")])
    assert rows_of(name) == [("a", "v2"), ("b", "v1")]
    bucket.put(*late[0])
    assert ("a", "v1") in rows_of(name)
    remote_store(FaultyBucket(name, clock), tmp_path, clock, RUNS[1]).close()
    assert rows_of(name) == [("a", "v2"), ("b", "v1")]


def test_a_put_whose_answer_was_lost_is_not_done_again(tmp_path: Path, name: str) -> None:
    clock = SetClock()

    class Unheard(FaultyBucket):
        unheard = True

        def put(self, key: str, content: bytes | Path) -> None:
            super().put(key, content)
            if self.unheard:
                self.unheard = False
                raise Unavailable("timed out")

    bucket = Unheard(name, clock)
    with remote_store(bucket, tmp_path, clock, RUNS[0], rows_per_part=1) as running:
        running.append([row("a")])
        clock.now += 60
        running.append([row("b")])
    puts = [key for verb, key in bucket.requests if verb == "put"]
    assert len(puts) == len(set(puts)) == 2
    assert rows_of(name) == [("a", "v1"), ("b", "v1")]


def test_a_beat_whose_answer_was_lost_is_not_somebody_else(tmp_path: Path, name: str) -> None:
    """Tried again inside, it meets its own success."""
    clock = SetClock()
    bucket = FaultyBucket(name, clock)
    with remote_store(bucket, tmp_path, clock, RUNS[0]) as running:
        clock.now += BEAT_SECONDS
        bucket.faults[len(bucket.requests) + 1] = "conflict after"
        running.append([row("a")])
        assert bucket.requests[-3:] == [(verb, "out/_nightcap/lock") for verb in ("put_if", "get", "put_if")]
        clock.now += BEAT_SECONDS
        running.append([row("b")])
        assert bucket.requests[-1] == ("put_if", "out/_nightcap/lock")


def test_rows_that_another_machine_merged_are_not_put_again(tmp_path: Path, name: str) -> None:
    """The first machine died between putting a part and noting it; the second put its rows into another part."""
    clock = SetClock()
    bucket = FaultyBucket(name, clock)
    first = remote_store(bucket, tmp_path / "1", clock, RUNS[0], rows_per_part=2)
    bucket.faults[len(bucket.requests) + 2] = "killed after"  # a listing, then the part
    with pytest.raises(Killed):
        first.append([row("a", run_id=RUNS[0]), row("b", run_id=RUNS[0])])
    abandon(first)
    assert rows_of(name) == [("a", "v1"), ("b", "v1")]
    clock.now += STALE_SECONDS
    with remote_store(FaultyBucket(name, clock), tmp_path / "2", clock, RUNS[1]) as second:
        second.append([row("a", "v2", run_id=RUNS[1])])
    again = FaultyBucket(name, clock)
    with remote_store(again, tmp_path / "1", clock, RUNS[2]) as third:
        assert third.finished_status(image("a", "v2"))
        assert not [key for verb, key in again.requests if verb == "put"]
    assert rows_of(name) == [("a", "v2"), ("b", "v1")]


def test_a_listing_that_lags_loses_nothing(tmp_path: Path, name: str) -> None:
    """Stores are consistent today; one that is not makes a run ask again, never overwrite."""
    clock = SetClock()

    class Lagging(FaultyBucket):
        def children(self, prefix: str) -> dict[str, int]:
            return {}

    for run, version in zip(RUNS[:3], ("v1", "v2", "v3"), strict=True):
        clock.now += 60
        with remote_store(Lagging(name, clock), tmp_path, clock, run, rows_per_part=1) as running:
            running.append([row("a", version)])
            running.append([row("b", version)])
    assert len(rows_of(name)) == 6
    remote_store(FaultyBucket(name, clock), tmp_path, clock, RUNS[3]).close()
    assert rows_of(name) == [("a", "v3"), ("b", "v3")]


def test_a_second_run_is_told_who_writes(tmp_path: Path, name: str) -> None:
    clock = SetClock()
    with remote_store(FaultyBucket(name, clock), tmp_path / "1", clock, RUNS[0]) as running:
        clock.now += STALE_SECONDS - 1
        with pytest.raises(UserError, match=r"memory://out is being written by another run \(process \d+ on .* since"):
            remote_store(FaultyBucket(name, clock), tmp_path / "2", clock, RUNS[1])
        running.append([])
        clock.now += STALE_SECONDS - 1
        with pytest.raises(UserError, match="wait 120 s if that machine died"):
            remote_store(FaultyBucket(name, clock), tmp_path / "2", clock, RUNS[1])
    remote_store(FaultyBucket(name, clock), tmp_path / "2", clock, RUNS[1]).close()


def test_a_run_that_was_out_of_reach_for_long_leaves_its_output_to_the_other(tmp_path: Path, name: str) -> None:
    clock = SetClock()
    first = remote_store(FaultyBucket(name, clock), tmp_path / "1", clock, RUNS[0])
    first.append([row("a", run_id=RUNS[0]), row("b", run_id=RUNS[0])])
    clock.now += STALE_SECONDS
    with remote_store(FaultyBucket(name, clock), tmp_path / "2", clock, RUNS[1]) as second:
        second.append([row("b", "v2", run_id=RUNS[1]), row("c", run_id=RUNS[1])])
        with pytest.raises(RunError, match=r"memory://out was taken over by another run .*run again when that one"):
            first.append([row("d", run_id=RUNS[0])])
        with pytest.raises(RunError, match="taken over"):
            first.close()
    assert rows_of(name) == [("b", "v2"), ("c", "v1")]
    with remote_store(FaultyBucket(name, clock), tmp_path / "1", clock, RUNS[2]) as third:
        assert third.finished_status(image("b", "v2")), "what the other machine wrote later is newer"
        assert third.finished_status(image("d"))
    assert rows_of(name) == [("a", "v1"), ("b", "v2"), ("c", "v1"), ("d", "v1")]


def test_a_process_that_died_on_this_machine_is_replaced_at_once(tmp_path: Path, name: str) -> None:
    clock = SetClock()
    bucket = FaultyBucket(name, clock)
    dead = remote_store(bucket, tmp_path, clock, RUNS[0])
    abandon(dead)
    holder = json.loads(bucket.get("out/_nightcap/lock").data)
    assert (holder["run_id"], holder["pid"]) == (RUNS[0], dead._lock._there._holder["pid"])  # type: ignore[attr-defined]
    bucket.put("out/_nightcap/lock", json.dumps(holder | {"pid": 2**22 + 1}).encode())  # above every process's number
    remote_store(FaultyBucket(name, clock), tmp_path, clock, RUNS[1]).close()


@pytest.mark.parametrize("ignores", [False, True], ids=["refuses", "ignores"])
def test_a_store_without_conditions_is_said_so_and_used_all_the_same(
    tmp_path: Path, name: str, ignores: bool, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SetClock()

    class Plain(FaultyBucket):
        def put_if(self, key: str, content: bytes, version: Version | None) -> Version:
            if not ignores:
                raise Unconditional(key)
            self.put(key, content)
            return {"e_tag": "1"}

    with remote_store(Plain(name, clock), tmp_path / "1", clock, RUNS[0]) as running:
        assert caplog.messages == [
            "memory://out: this store has no conditional writes, so nothing keeps a run of another machine away; let"
            " only one run at a time."
        ]
        with pytest.raises(UserError, match="is being written by another run"):  # it can still be seen
            remote_store(Plain(name, clock), tmp_path / "2", clock, RUNS[1])
        clock.now += BEAT_SECONDS
        running.append([row("a")])
    assert rows_of(name) == [("a", "v1")]
    with remote_store(Plain(name, clock), tmp_path / "1", clock, RUNS[2]) as running:
        clock.now += STALE_SECONDS
        remote_store(Plain(name, clock), tmp_path / "2", clock, RUNS[3]).close()
        with pytest.raises(RunError, match=r"was taken over by another run \(one that has ended\)"):
            running.append([row("b")])
        with pytest.raises(RunError, match="was taken over"):
            running.close()


@pytest.mark.parametrize(("prefix", "key"), [("out", "out/cat.jpg"), ("", "cat.jpg")])
def test_a_prefix_of_somebody_else_is_refused_untouched(tmp_path: Path, name: str, prefix: str, key: str) -> None:
    clock = SetClock()
    bucket = FaultyBucket(name, clock)
    bucket.put("out/cat.jpg", b"a picture")
    with pytest.raises(UserError, match="Output memory://out holds other objects; choose a new or an empty prefix"):
        remote_store(bucket, tmp_path, clock, RUNS[0])
    assert not [verb for verb, _ in bucket.requests[1:] if verb != "list"]


def test_resume_reads_a_fraction_of_the_parts(tmp_path: Path, name: str) -> None:
    """Two requests for a part: its footer, and the few columns that say what is finished."""
    clock = SetClock()
    with remote_store(FaultyBucket(name, clock), tmp_path, clock, RUNS[0]) as first:
        first.append([row(key, caption=sha256(key.encode()).hexdigest()) for key in map(str, range(20_000))])

    class Counting(FaultyBucket):
        read = 0

        def ranges(self, key: str, ranges: list[tuple[int, int]]) -> list[bytes]:
            self.read += sum(end - begin for begin, end in ranges)
            return super().ranges(key, ranges)

    bucket = Counting(name, clock)
    [part] = bucket.children("out").values()
    with remote_store(bucket, tmp_path / "other", clock, RUNS[1]) as second:
        assert second.finished_status(image("19999"))
        assert [verb for verb, _ in bucket.requests].count("ranges") == 2
        assert bucket.read < part / 4
