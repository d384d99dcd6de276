"""Whole runs in this process, against the emulator: a file that was moved, renamed, copied or touched costs nothing."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine.live.run import run_live
from pipeline.engine.stats import Summary
from pipeline.job import Job
from tests.helpers.clock import FakeClock
from tests.helpers.folders import write_jpegs
from tests.helpers.rows import rows_of
from tests.helpers.servers import emulate


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_jpegs(tmp_path / "photos", 12)
    return tmp_path / "photos"


async def run(photos: Path, server: Running, **options: Any) -> Summary:
    job = Job.create(photos, photos.parent / "out", model="openai:gpt-4o", base_url=server.base_url, **options)
    clock = FakeClock()
    with clock.autojump(0.005):
        return await run_live(job.plan(), clock, {})


async def test_moved_renamed_and_touched_files_are_not_asked_again(photos: Path) -> None:
    async with emulate() as server:
        await run(photos, server, rows_per_part=5)
        before = rows_of(photos.parent / "out")
        (photos / "moved").mkdir()
        for number in range(4):
            (photos / f"{number:04}.jpg").rename(photos / "moved" / f"{number}.jpg")
        os.utime(photos / "0010.jpg", (1, 1))
        summary = await run(photos, server)
        assert server.stats.requests == 12
        assert (summary.stats.todo, summary.stats.reused, summary.stats.cost_usd) == (5, 5, 0)
    after = rows_of(photos.parent / "out")
    for number in range(4):
        old, new = before[f"{number:04}.jpg"], after[f"moved/{number}.jpg"]
        assert (new["mode"], new["caption"], new["cost_usd"], new["total_tokens"]) == ("reused", old["caption"], 0, 0)
        assert new["uri"].endswith(f"moved/{number}.jpg")
    touched = after["0010.jpg"]
    assert touched["source_version"] != before["0010.jpg"]["source_version"]
    assert (touched["mode"], touched["cost_usd"]) == ("live", before["0010.jpg"]["cost_usd"])
    assert sum(row["cost_usd"] for row in after.values()) == sum(row["cost_usd"] for row in before.values())


async def test_copies_within_a_run_are_asked_once_also_while_the_first_is_in_flight(photos: Path) -> None:
    for number in range(12):
        shutil.copy(photos / f"{number:04}.jpg", photos / f"{number:04}-copy.jpg")
    async with emulate(EmulatorOptions(latency=0.02)) as server:
        summary = await run(photos, server, concurrency=8)
        assert server.stats.requests == 12
    found = rows_of(photos.parent / "out")
    assert (len(found), summary.stats.captioned, summary.stats.reused, summary.exit_code) == (24, 24, 12, 0)
    for number in range(12):
        one, other = found[f"{number:04}.jpg"], found[f"{number:04}-copy.jpg"]
        assert one["caption"] == other["caption"]
        assert {one["mode"], other["mode"]} == {"live", "reused"}


async def test_another_request_is_not_reused(photos: Path) -> None:
    async with emulate() as server:
        await run(photos, server)
        (photos / "0000.jpg").rename(photos / "x.jpg")
        summary = await run(photos, server, prompt="What is it?", replace=True)
        assert (server.stats.requests, summary.stats.reused) == (24, 0)
