"""Two runs that are started at the same moment on the same output: one works, the other says why not."""

import asyncio
import json
import re
from pathlib import Path

import duckdb
import pytest

from pipeline.emulator.options import EmulatorOptions
from tests.helpers.command import start_nightcap
from tests.helpers.folders import write_small_jpegs
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration

ROUNDS = 2
RUNS = 3
IMAGES = 60


async def test_of_several_runs_at_once_one_works(tmp_path: Path) -> None:
    """Over the same output again and again, each time with new images, so that the runs also meet while recovering."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    async with emulate(EmulatorOptions(latency=1.5)) as emulator:
        command = ("run", photos, "-o", out, "-m", "gpt-4o", "--base-url", emulator.base_url, "--json")
        for number in range(ROUNDS):
            write_small_jpegs(photos, IMAGES, begin=number * IMAGES)
            started = [await start_nightcap(*command) for _ in range(RUNS)]
            ended = await asyncio.gather(*(running.ended() for running in started))
            done, *refused = sorted(ended, key=lambda one: one.code)
            assert done.code == 0, done.err
            assert json.loads(done.out)["statuses"] == {"captioned": IMAGES}
            for one in refused:
                assert (one.code, one.out) == (2, ""), one.err
                assert re.search(rf"{out} is being written by another run \(process \d+ on .*\); wait for it", one.err)
            keys = duckdb.sql(f"SELECT key FROM '{out}/*.parquet'").fetchall()
            assert len(keys) == len(set(keys)) == (number + 1) * IMAGES
            assert emulator.stats.answered == emulator.stats.requests == (number + 1) * IMAGES
