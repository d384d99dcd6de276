"""What a disk may do to a run: each is one sentence, and costs no row that was acknowledged."""

import errno
import os
import re
import shutil
from itertools import count
from pathlib import Path

import pytest

from pipeline.errors import NightcapError, RunError
from pipeline.store import StoreOptions, open_store, read_status
from pipeline.store.status import iter_batches
from tests.store.rows import REQUEST, RUN, Killer, SetClock, row, store

SENTENCES = {
    errno.ENOSPC: "^No space is left for .*; make room and run again: what is recorded is kept.$",
    errno.EDQUOT: "^No space is left for ",
    errno.EROFS: "cannot be used .*; give access to it or choose another.$",
    errno.EIO: "cannot be read or written .*; run again: what is recorded is kept.$",
}


class Refusing(Killer):
    """The disk refuses one change, the one with number `at`, and then works again."""

    def __init__(self, at: int, number: int) -> None:
        super().__init__()
        self.refused = at
        self._number = number

    def __call__(self, verb: str, path: Path) -> None:
        super().__call__(verb, path)
        if self.steps == self.refused:
            raise OSError(self._number, os.strerror(self._number), str(path))


def versions(root: Path) -> dict[str, str]:
    rows = [item for batch in iter_batches(str(root), ["key", "source_version"]) for item in batch.to_pylist()]
    pairs = {item["key"]: item["source_version"] for item in rows}
    assert len(rows) == len(pairs) == read_status(str(root)).rows
    return pairs


def test_any_one_change_may_be_refused(tmp_path: Path) -> None:
    """The run is told, and goes on if it wants to: what is appended after the refusal is recorded as well."""
    groups = [[row(f"k{n}", "v2"), row(f"n{n}")] for n in range(4)]
    expected = {"k9": "v1"} | {record.key: record.source_version for group in groups for record in group}
    told: list[str] = []
    for at in count(1):
        root = tmp_path / str(at)
        with store(root) as earlier:
            earlier.append([row("k0"), row("k1"), row("k9")])
        disk = Refusing(at, errno.ENOSPC)
        try:
            running = store(root, step=disk, rows_per_part=4)
        except NightcapError as error:
            told.append(str(error))
            running = store(root, step=disk, rows_per_part=4)
        for group in groups:
            try:
                running.append(group)
            except RunError as error:
                told.append(str(error))
                running.append(group)
        try:
            running.close()
        except RunError as error:
            told.append(str(error))
        assert versions(root) == expected
        store(root).close()
        assert versions(root) == expected
        if disk.steps < at:
            break
    assert len(told) == at - 1 > 25
    assert all(re.search(SENTENCES[errno.ENOSPC], sentence) for sentence in told)


@pytest.mark.parametrize("number", SENTENCES)
def test_each_refusal_is_one_sentence(tmp_path: Path, number: int) -> None:
    disk = Refusing(0, number)
    with store(tmp_path, step=disk) as running:
        disk.refused = disk.steps + 1
        with pytest.raises(RunError, match=SENTENCES[number]):
            running.append([row("a")])


def test_a_full_disk_gets_the_room_of_an_unfinished_part_back(tmp_path: Path) -> None:
    disk = Refusing(0, errno.ENOSPC)
    with store(tmp_path, step=disk, rows_per_part=1) as running:
        disk.refused = disk.steps + 4  # two commits, the part's content, its fsync
        with pytest.raises(RunError):
            running.append([row("a")])
        assert list((tmp_path / "_nightcap" / "writing").iterdir()) == []


def test_a_journal_without_room_says_so(tmp_path: Path) -> None:
    running = store(tmp_path)
    running._journal._connection.execute("PRAGMA max_page_count = 50")  # SQLite's own disk full
    running.append([row("a")])
    with pytest.raises(RunError, match=SENTENCES[errno.ENOSPC]):
        running.append([row("b", caption="x" * 500_000)])
    running.append([row("c")])
    running.close()
    assert versions(tmp_path) == {"a": "v1", "c": "v1"}


def test_a_journal_that_became_read_only_says_so(tmp_path: Path) -> None:
    with store(tmp_path) as running:
        running._journal._connection.execute("PRAGMA query_only = 1")
        with pytest.raises(RunError, match="Read-only file system"):
            running.append([row("a")])


@pytest.mark.parametrize("away", ["deleted", "moved", "replaced"])
def test_an_output_that_is_gone_during_the_run_is_noticed_at_once(tmp_path: Path, away: str) -> None:
    """An open journal would go on taking rows into a file that nobody finds again."""
    root = tmp_path / "out"
    running = store(root)
    running.append([row("a")])
    if away == "deleted":
        shutil.rmtree(root)
    else:
        root.rename(tmp_path / "elsewhere")
    if away == "replaced":
        store(root).close()
    sentence = f"^{root} was moved or deleted during the run; put it back, or run again.$"
    with pytest.raises(RunError, match=sentence):
        running.append([row("b")])
    with pytest.raises(RunError, match=sentence):
        running.close()
    if away == "moved":
        store(tmp_path / "elsewhere").close()
        assert versions(tmp_path / "elsewhere") == {"a": "v1"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_without_permission_is_the_users_mistake(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(NightcapError) as refused:
        open_store(str(tmp_path / "out"), StoreOptions(), SetClock(), RUN, REQUEST)
    assert refused.value.exit_code == 2
