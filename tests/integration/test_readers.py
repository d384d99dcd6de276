"""Readers at any moment of a run: our own status, DuckDB and pandas, while parts are cut and merged under their hands.

Only the merging of small parts, when a run ends, concerns them: Parquet knows no way to exchange several files at once,
so for that moment DuckDB and pandas may find a part gone, or its rows twice. The next try finds all in order.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas
import pytest

from pipeline.store import read_status
from tests.helpers.command import Command, nightcap, start_nightcap
from tests.helpers.folders import write_small_jpegs
from tests.helpers.servers import emulate_process

pytestmark = pytest.mark.integration

IMAGES = 400
CUT_BY_ROWS = "rows_per_part = 30"
MERGED_AT_THE_END = "flush_seconds = 0.4"
TRIES = 20


class Reader(threading.Thread):
    """Reads until told to stop."""

    def __init__(self, read: Callable[[], int]) -> None:
        super().__init__()
        self.counts: list[int] = []
        """Rows, one number each time."""
        self.disturbed: list[Exception] = []
        """What was wrong with a read that went well when it was tried again."""
        self.error: Exception | None = None
        self._read = read
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set() and not self.error:
            self._read_once()

    def _read_once(self) -> None:
        disturbed: list[Exception] = []
        while len(disturbed) < TRIES:
            try:
                self.counts.append(self._read())
            except Exception as error:
                disturbed.append(error)
            else:
                self.disturbed += disturbed
                return
        self.error = disturbed[-1]

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def with_duckdb(out: Path) -> int:
    with duckdb.connect() as connection:
        query = f"SELECT count(*), count(DISTINCT key), count(caption) FROM '{out}/*.parquet'"
        ((rows, keys, captions),) = connection.execute(query).fetchall()
    assert rows == keys == captions
    return int(rows)


def with_pandas(out: Path) -> int:
    frame = pandas.read_parquet(out, columns=["key", "caption"])
    assert frame.key.is_unique
    assert frame.caption.notna().all()
    return len(frame)


async def first_part(out: Path, running: Command) -> None:
    while not list(out.glob("part-*.parquet")):
        assert running.is_running, (await running.ended()).err
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("parts", [CUT_BY_ROWS, MERGED_AT_THE_END])
async def test_readers_while_a_run_goes_on(tmp_path: Path, parts: str) -> None:
    out = tmp_path / "out"
    write_small_jpegs(tmp_path / "photos", IMAGES)
    job = tmp_path / "job.toml"
    with emulate_process("--latency", "0.1") as emulator:
        job.write_text(
            f"out = 'out'\n[source]\npaths = ['photos']\n[model]\nname = 'gpt-4o'\nbase_url = '{emulator.base_url}'\n"
            f"[limits]\nconcurrency = 8\n[store]\n{parts}\n"
        )
        running = await start_nightcap("run", job)
        await first_part(out, running)
        ours, *others = readers = [
            Reader(lambda: read_status(str(out)).rows),
            Reader(lambda: with_duckdb(out)),
            Reader(lambda: with_pandas(out)),
        ]
        for reader in readers:
            reader.start()
        shown = await nightcap("status", out, "--json")
        ended = await running.ended()
        for reader in readers:
            reader.stop()
    assert ended.code == 0, ended.err
    assert shown.code == 0, shown.err
    assert 0 < json.loads(shown.out)["rows"] <= IMAGES
    assert len(list(out.glob("*.parquet"))) == 1 or parts == CUT_BY_ROWS
    for reader in readers:
        assert reader.error is None
        assert reader.counts == sorted(reader.counts)
        assert len(set(reader.counts)) >= 3, "it saw the run grow"
        assert reader.counts[-1] <= IMAGES
    assert ours.disturbed == []
    if parts == CUT_BY_ROWS:
        assert [error for reader in others for error in reader.disturbed] == []
