"""The disk is full, read-only or loses the output while the command runs: one sentence, exit 3 or 2, nothing lost."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from pipeline.store import read_status
from tests.helpers.command import Ended, nightcap, start_nightcap
from tests.helpers.folders import write_small_jpegs
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration

IMAGES = 250
IN_FLIGHT = 8
MOUNT = "mount -t tmpfs -o size={size} tmpfs {out}"
CAN_MOUNT = shutil.which("unshare") is not None and not subprocess.call(
    ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], stderr=subprocess.DEVNULL
)
mounted = pytest.mark.skipif(not CAN_MOUNT, reason="this user may not mount a file system of his own")


def command(tmp_path: Path, emulator: Running) -> list[str]:
    paths = [str(tmp_path / "photos"), "-o", str(tmp_path / "out")]
    return ["run", *paths, "-m", "gpt-4o", "--base-url", emulator.base_url, "--concurrency", str(IN_FLIGHT)]


async def shell(script: str) -> Ended:
    """Run a script that may mount what only it sees."""
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-rm", "sh", "-c", script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def keys_in(out: Path) -> list[str]:
    return [key for (key,) in duckdb.sql(f"SELECT key FROM '{out}/*.parquet' WHERE caption IS NOT NULL").fetchall()]


@mounted
async def test_a_full_disk(tmp_path: Path, emulator: Running) -> None:
    """First there is hardly room for the journal, then enough."""
    out = tmp_path / "out"
    out.mkdir()
    names = [path.name for path in write_small_jpegs(tmp_path / "photos", IMAGES)]
    run = " ".join([sys.executable, "-m", "pipeline", *command(tmp_path, emulator)])
    full = await shell(
        f"{MOUNT.format(size='400k', out=out)}; {run}; echo exit $?; {sys.executable} -m pipeline status {out} >&2;"
        f" mount -o remount,size=100m {out}; {run}; echo exit $?; cp -r {out} {tmp_path}/kept"
    )
    assert full.out.split() == ["exit", "3", "exit", "0"], full.err
    assert f"No space is left for {out}; make room and run again: what is recorded is kept." in full.err
    assert "Traceback" not in full.err
    assert sorted(keys_in(tmp_path / "kept")) == names
    # What was in flight when the disk was full could not be kept, nor what waited for the same commit.
    assert IMAGES <= emulator.stats.answered <= IMAGES + 2 * IN_FLIGHT


@mounted
async def test_a_read_only_output(tmp_path: Path, emulator: Running) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_small_jpegs(tmp_path / "photos", 3)
    run = " ".join([sys.executable, "-m", "pipeline", *command(tmp_path, emulator)])
    refused = await shell(f"{MOUNT.format(size='1m', out=out)}; mount -o remount,ro {out}; {run}")
    assert refused.code == 2
    assert refused.err.startswith(f"nightcap: {out} cannot be used (Read-only file system); give access to it")
    assert emulator.stats.requests == 0


@pytest.mark.parametrize("away", ["deleted", "moved"])
async def test_an_output_that_goes_away(tmp_path: Path, away: str) -> None:
    out = tmp_path / "out"
    write_small_jpegs(tmp_path / "photos", IMAGES)
    async with emulate(EmulatorOptions(latency=0.2)) as emulator:
        running = await start_nightcap(*command(tmp_path, emulator))
        while emulator.stats.answered < 3 * IN_FLIGHT or not read_status(str(out)).rows:
            await asyncio.sleep(0.01)
        if away == "deleted":
            shutil.rmtree(out)
        else:
            out.rename(tmp_path / "elsewhere")
        ended = await running.ended()
        assert emulator.stats.requests < IMAGES, "it stopped asking"
    assert ended.code == 3, ended.err
    assert f"{out} was moved or deleted during the run; put it back, or run again." in ended.err
    assert "Traceback" not in ended.err
    if away == "moved":
        assert read_status(str(tmp_path / "elsewhere")).rows > 0


async def test_files_that_are_not_what_they_were(tmp_path: Path) -> None:
    """Emptied, replaced, deleted or made a pipe after they were listed: a row each, and the next run puts it right.

    Of more images than are read ahead.
    """
    photos = tmp_path / "photos"
    paths = write_small_jpegs(photos, 2 * IMAGES)
    async with emulate(EmulatorOptions(latency=0.015)) as emulator:
        running = await start_nightcap(*command(tmp_path, emulator), "--concurrency", "2")
        while emulator.stats.requests < 1:
            await asyncio.sleep(0.01)
        emptied, replaced, deleted, piped = paths[-4:]
        emptied.write_bytes(b"")
        write_small_jpegs(tmp_path / "other", 1, begin=9)
        (tmp_path / "other" / "0000009.jpg").replace(replaced)
        deleted.unlink()
        piped.unlink()
        os.mkfifo(piped)
        ended = await running.ended()
        assert ended.code == 1, ended.err
        found = dict(duckdb.sql(f"SELECT key, reason FROM '{tmp_path}/out/*.parquet'").fetchall())
        assert len(found) == 2 * IMAGES
        assert found[emptied.name] == "truncated_file"
        assert found[replaced.name] is None
        assert found[deleted.name] == found[piped.name] == "unreadable"
        piped.unlink()
        write_small_jpegs(photos, 2 * IMAGES)
        again = await nightcap(*command(tmp_path, emulator))
        assert again.code == 0, again.err
    assert sorted(keys_in(tmp_path / "out")) == [path.name for path in paths]
