"""The power fails at any moment of any nights, and of what was not fsynced any part may be lost: no row that was
acknowledged is.

`test_crash` walks through every step of two chosen nights and loses everything that it may; here nights, moment and
losses are drawn.
"""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.store.dataset import Store
from pipeline.store.status import iter_batches
from tests.store.rows import Killed, Killer, abandon, row, store

Rows = dict[str, str]
Group = list[tuple[str, int]]

KEYS = st.sampled_from("abcdef")
GROUPS = st.lists(st.lists(st.tuples(KEYS, st.integers(1, 3)), min_size=1, max_size=4), max_size=5)
MOMENT = st.integers(1, 70)
NIGHTS = st.lists(st.tuples(GROUPS, MOMENT, st.booleans()), min_size=1, max_size=4)


class Storm(Killer):
    """Loses each change that is not durable, or not, or of a content one half."""

    def __init__(self, at: int, chance: random.Random) -> None:
        super().__init__(at, power_loss=True)
        self._chance = chance

    def _lose(self) -> None:
        for path in sorted(self._unsynced):
            if path.exists():
                data = path.read_bytes()
                path.write_bytes(data[: self._chance.choice((0, len(data) // 2, len(data)))])
        for undo in self._undo.values():
            for step in reversed(undo):
                if self._chance.random() < 0.5:
                    step()
        self._unsynced.clear()
        self._undo.clear()


def night(root: Path, number: int, groups: list[Group], disk: Storm, merge: bool) -> int:
    """How many groups were acknowledged before the power failed; all, when it did not."""
    running: Store | None = None
    acknowledged = 0
    try:
        running = store(root, step=disk, run_id=f"night-{number}", rows_per_part=4)
        for group in groups:
            running.append([row(key, caption=f"{key} {version} {number}") for key, version in group])
            acknowledged += 1
        if merge:
            running.merge_small_parts()
        running.close()
    except Killed:
        if running and not running._closed:
            abandon(running)
    return acknowledged


def after(rows: Rows, number: int, groups: list[Group]) -> Rows:
    return rows | {key: f"{key} {version} {number}" for group in groups for key, version in group}


def rows_in(root: Path) -> Rows:
    batches = list(iter_batches(str(root), ["key", "caption"])) if (root / "_nightcap").is_dir() else []
    pairs = [(item["key"], item["caption"]) for batch in batches for item in batch.to_pylist()]
    assert len(pairs) == len(dict(pairs)), "a key came twice"
    return dict(pairs)


@settings(max_examples=25)
@given(NIGHTS, st.integers(0, 2**32))
def test_no_acknowledged_row_is_lost(nights: list[tuple[list[Group], int, bool]], seed: int) -> None:
    chance = random.Random(seed)
    with TemporaryDirectory() as temporary:
        root = Path(temporary, "out")
        expected: Rows = {}
        for number, (groups, moment, merge) in enumerate(nights):
            acknowledged = night(root, number, groups, Storm(moment, chance), merge)
            for part in root.glob("*.parquet"):
                pq.read_table(part)
            possible = [after(expected, number, groups[:count]) for count in (acknowledged, acknowledged + 1)]
            found = rows_in(root)
            assert found in possible
            expected = found
        store(root, run_id="last").close()
        assert rows_in(root) == expected
        table = pq.read_table(root, columns=["key", "caption"]).to_pylist() if expected else []
        assert sorted((one["key"], one["caption"]) for one in table) == sorted(expected.items())
