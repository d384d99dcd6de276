"""The installed command, killed at moments that nobody chose: no image is missing, and next to nothing is paid twice.

    pytest tests/integration/test_crash.py --kills 100 --log-cli-level INFO     about five minutes

`.ci/run` kills the few times that the default says.
"""

import asyncio
import json
import logging
import random
import signal
import urllib.request
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.store import read_status
from tests.helpers.command import Command, start_nightcap
from tests.helpers.folders import write_small_jpegs
from tests.helpers.servers import Process, emulate_process

log = logging.getLogger(__name__)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

IMAGES = 200
IN_FLIGHT = 16
# Longer than a reply waits for its commit on a busy machine too: a place in flight loses one answer at a kill, not two.
LATENCY = 0.5


def counted(emulator: Process, name: str) -> int:
    with urllib.request.urlopen(f"{emulator.endpoint}/stats") as response:
        number = json.load(response)[name]
    assert isinstance(number, int)
    return number


def write_job(folder: Path, emulator: Process) -> Path:
    """Parts of a few rows, so that most kills hit a journal, a cut or a merge that is under way."""
    job = folder / "job.toml"
    job.write_text(
        f"out = 'out'\n[source]\npaths = ['photos']\n"
        f"[model]\nname = 'gpt-4o'\nbase_url = '{emulator.base_url}'\n"
        f"[limits]\nconcurrency = {IN_FLIGHT}\n[store]\nrows_per_part = 40\n"
    )
    return job


def check_readable(out: Path, before: int) -> int:
    """Every part is whole and no row of an earlier run has gone; how many rows there are."""
    for part in out.glob("*.parquet"):
        pq.read_table(part)
    rows = read_status(str(out)).rows if out.exists() else 0
    assert rows >= before
    return rows


async def wait_for_a_moment(running: Command, emulator: Process, chance: random.Random) -> None:
    """Until some moment of its life: while it starts and recovers, or after any number of requests."""
    asked = counted(emulator, "requests") + chance.randrange(IMAGES // 3)
    if chance.random() < 0.4:
        await asyncio.sleep(chance.uniform(0.0, 3.0))
        return
    while counted(emulator, "requests") < asked and running.is_running:
        await asyncio.sleep(0.02)
    await asyncio.sleep(chance.uniform(0.0, LATENCY))


async def kill_again_and_again(job: Path, emulator: Process, kills: int, chance: random.Random) -> tuple[int, int]:
    """Start the job and kill it, up to `kills` times; how often it was killed, and how many rows there are then."""
    killed = rows = 0
    while killed < kills:
        running = await start_nightcap("run", job)
        await wait_for_a_moment(running, emulator, chance)
        running.signal(signal.SIGKILL)
        ended = await running.ended()
        assert "Traceback" not in ended.err
        if ended.code == 0:  # it was quicker: there is nothing left to kill
            break
        assert ended.code == -signal.SIGKILL, ended.err
        killed += 1
        rows = check_readable(job.parent / "out", rows)
    return killed, rows


async def test_killed_at_random_moments(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    kills: int = request.config.getoption("--kills")
    chance = random.Random(20261121)
    killed = collection = 0
    with emulate_process("--latency", str(LATENCY)) as emulator:
        while killed < kills:
            folder = tmp_path / f"collection-{collection}"
            paths = write_small_jpegs(folder / "photos", IMAGES, begin=collection * IMAGES)
            asked_before, answered_before = counted(emulator, "requests"), counted(emulator, "answered")
            job = write_job(folder, emulator)
            here, rows_at_the_last_kill = await kill_again_and_again(job, emulator, kills - killed, chance)
            last = await (await start_nightcap("run", job)).ended()
            assert last.code == 0, last.err

            keys = duckdb.sql(f"SELECT key FROM '{folder}/out/*.parquet' WHERE status = 'captioned'").fetchall()
            assert sorted(key for (key,) in keys) == [path.name for path in paths]
            answered = counted(emulator, "answered") - answered_before
            asked = counted(emulator, "requests") - asked_before
            log.info(
                f"{here} kills, {rows_at_the_last_kill} rows at the last: {asked - IMAGES} requests and"
                f" {answered - IMAGES} answers more than {IMAGES} images; {here * IN_FLIGHT} could be in flight"
            )
            assert IMAGES <= answered <= IMAGES + here * IN_FLIGHT
            # A request that was cut by the kill may be on the bill too.
            assert asked <= IMAGES + 2 * here * IN_FLIGHT
            assert not list((folder / "out" / "_nightcap" / "writing").iterdir())
            killed += here
            collection += 1
