"""A real process, killed at moments that nobody chose."""

import random
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.items import SourceImage
from pipeline.store import StoreOptions, open_store, read_status
from tests.store.rows import REQUEST, RUN, SetClock

KILLS = 12
GROUP = 20

# Writes rows 0, 1, 2, ... that are not finished yet, in groups, and says which were acknowledged.
WRITER = """
import sys
from itertools import count
from pathlib import Path
from pipeline.clock import SystemClock
from pipeline.store import StoreOptions, open_store
from tests.store.rows import REQUEST, image, row

out, run_id, group = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open_store(out, StoreOptions(rows_per_part=3 * group), SystemClock(), run_id, REQUEST) as running:
    todo = (n for n in count() if not running.finished_status(image(str(n))))
    while True:
        numbers = [next(todo) for _ in range(group)]
        running.append([row(str(n)) for n in numbers])
        print(numbers[-1], flush=True)
"""


@pytest.mark.integration
def test_killed_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(20261121)
    out = tmp_path / "out"
    acknowledged = -1
    for kill in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(out), f"{RUN}-{kill:03}", str(GROUP)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as writer:
            assert writer.stdout
            if kill % 3:  # otherwise it may die while it starts or recovers
                acknowledged = int(writer.stdout.readline())
            time.sleep(chance.uniform(0, 0.15) if kill % 3 else chance.uniform(0.2, 0.6))
            writer.kill()
            lines = writer.stdout.read().split("\n")[:-1]  # a line without an end was never said
            acknowledged = int(lines[-1]) if lines else acknowledged
        for part in out.glob("*.parquet"):
            pq.read_table(part)
        if out.exists():
            rows = read_status(str(out)).rows
            assert acknowledged + 1 <= rows <= acknowledged + 1 + GROUP
            acknowledged = rows - 1
    with open_store(str(out), StoreOptions(), SetClock(), RUN, REQUEST) as running:
        assert all(running.finished_status(SourceImage(str(n), "", "v1")) for n in range(acknowledged + 1))
    ((rows, keys),) = duckdb.execute(f"SELECT count(*), count(DISTINCT key) FROM '{out}/*.parquet'").fetchall()
    assert rows == keys >= acknowledged + 1 > KILLS
