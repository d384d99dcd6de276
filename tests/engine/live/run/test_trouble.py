"""Trouble of the whole run: what is recorded all the same, and what is told."""

import asyncio
import gc
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine.live import run as live
from pipeline.engine.live.stages import PAGE_IMAGES
from pipeline.engine.stats import Summary
from pipeline.errors import RunError, UserError
from pipeline.items import SourceImage
from pipeline.job import Job, run_async
from tests.engine.live.run.runs import interrupt, job_for, keys
from tests.engine.making import until
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate
from tests.helpers.web_server import serve


class BuggySource:
    """Lists well and reads badly, or the other way round."""

    def __init__(self, *options: object) -> None:
        pass

    def list(self) -> Iterator[SourceImage]:
        yield SourceImage("a.jpg", "file:///a.jpg", "v1")
        raise ZeroDivisionError("a bug in the listing")

    def read(self, image: SourceImage) -> bytes:
        raise RunError("The bucket refused the credentials.")

    def read_head(self, image: SourceImage, count: int) -> bytes:
        raise NotImplementedError


async def test_a_bug_comes_out_and_leaves_the_output_unlocked(
    photos: Path, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_for(photos, emulator)
    monkeypatch.setattr(live, "open_images", BuggySource)
    with pytest.raises(ExceptionGroup) as caught:
        await run_async(job)
    monkeypatch.undo()
    assert [str(error) for error in caught.value.exceptions] == ["a bug in the listing"]
    assert (await run_async(job)).exit_code == 0


async def test_an_output_that_is_deleted_stops_the_run_with_its_summary(photos: Path) -> None:
    async with emulate(EmulatorOptions(latency=0.02)) as server:
        job = job_for(photos, server, concurrency=2)
        running = asyncio.ensure_future(run_async(job))
        await until(lambda: server.stats.answered >= 4)
        shutil.rmtree(job.out)
        with pytest.raises(RunError, match="moved or deleted") as caught:
            await running
        assert server.stats.requests < 40
        assert server.stats.abandoned == 0, "what was sent was waited for"
    summary = caught.value.summary
    assert isinstance(summary, Summary)
    assert (summary.stopped, summary.exit_code, caught.value.exit_code) == ("trouble", 3, 3)
    assert summary.message == str(caught.value)
    stats = summary.stats
    assert stats.unrecorded > 0 < stats.unrecorded_usd, "what was spent is told, recorded or not"
    assert stats.recorded + stats.unrecorded == server.stats.answered
    assert stats.left == 40 - stats.recorded, "a row counts when the store has taken it"


async def test_a_disk_in_trouble_leaves_no_connection_to_a_source_open(tmp_path: Path) -> None:
    files = {f"{number}.jpg": encoded(photo(96, 64, grain=40, seed=number)) for number in range(20)}
    async with emulate(EmulatorOptions(latency=0.05)) as server, serve(files) as web:
        (tmp_path / "list.txt").write_text("".join(f"{web.url}{name}\n" for name in files))
        options = {"base_url": server.base_url, "concurrency": 2, "allow_private_network": True}
        job = Job.create(tmp_path / "list.txt", tmp_path / "out", model="openai:gpt-4o", **options)
        running = asyncio.ensure_future(run_async(job))
        await until(lambda: server.stats.answered >= 4)
        shutil.rmtree(job.out)
        with pytest.raises(RunError, match="moved or deleted"):
            await running
        del running
        gc.collect()  # a session that was left open would warn, and warnings are errors


async def test_a_list_that_turns_out_wrong_late_ends_with_its_summary(photos: Path, emulator: Running) -> None:
    names = [f"photos/{path.name}" for path in sorted(photos.iterdir())]
    lines = [
        {"path": names[number % 40], "id": number} for number in range(5 * PAGE_IMAGES)
    ]  # more than waits between the stages
    (photos.parent / "list.jsonl").write_text("\n".join(map(json.dumps, [*lines, {**lines[0], "id": 7}])))
    job = job_for(photos.parent / "list.jsonl", emulator, key_column="id")
    with pytest.raises(UserError, match="'7' comes twice") as caught:
        await run_async(job)
    summary = caught.value.summary
    assert isinstance(summary, Summary)
    assert (summary.stopped, summary.exit_code) == ("trouble", 2)
    assert summary.stats.recorded == len(keys(job)) > 0 < summary.stats.cost_usd
    again = job_for(photos.parent / "list.jsonl", emulator, key_column="nothing")
    with pytest.raises(UserError) as caught:
        await run_async(again)
    assert caught.value.summary is None, "nothing was done"


async def test_trouble_before_the_first_image_has_no_summary(photos: Path, emulator: Running) -> None:
    job = job_for(photos, emulator)
    await run_async(job)
    for part in Path(job.out).glob("part-*"):
        part.write_bytes(b"damaged")
    with pytest.raises(RunError, match="damaged") as caught:
        await run_async(job)
    assert caught.value.summary is None


async def test_refused_credentials_stop_the_run_with_its_summary(photos: Path) -> None:
    async with emulate(EmulatorOptions(scenario=(Step("unauthorized", requests=(6, 1000)),))) as server:
        job = job_for(photos, server, concurrency=2)
        with pytest.raises(RunError, match="credentials") as caught:
            await run_async(job)
        assert server.stats.requests <= 7
    assert isinstance(caught.value.summary, Summary)
    assert caught.value.summary.stats.captioned == 5 == len(keys(job))


async def test_an_interrupt_and_then_trouble_is_trouble(photos: Path) -> None:
    late = EmulatorOptions(latency=0.3, scenario=(Step("cut", requests=(1, 1)),))
    async with emulate(late) as server:
        job = job_for(photos, server, concurrency=2, max_attempts=1)
        running = asyncio.ensure_future(run_async(job))
        await until(lambda: server.stats.in_flight == 2)
        await interrupt()
        shutil.rmtree(job.out)
        with pytest.raises(RunError) as caught:
            await running
    assert isinstance(caught.value.summary, Summary)
    assert caught.value.summary.exit_code == caught.value.exit_code == 3, "one run, one exit code"


async def test_an_output_in_use_is_told_and_not_touched(photos: Path) -> None:
    async with emulate(EmulatorOptions(latency=0.05)) as server:
        job = job_for(photos, server, concurrency=2)
        running = asyncio.ensure_future(run_async(job))
        await until(lambda: server.stats.requests > 0)
        with pytest.raises(UserError, match="another run"):
            await run_async(job)
        assert (await running).exit_code == 0
