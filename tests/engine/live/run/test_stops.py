"""How a run ends that is stopped: by a signal, a deadline, its caller."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine import pools
from pipeline.engine.control.deadline import OVERTIME_SECONDS
from pipeline.engine.live import run as live
from pipeline.engine.live.run import run_live
from pipeline.engine.live.stages import PAGE_IMAGES
from pipeline.engine.stats import RunStats, Summary
from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.job import Job, run_async
from pipeline.sources import SourceOptions, open_source
from pipeline.store import read_status
from tests.engine.live.run.runs import EIGHT_ANSWERS, interrupt, job_for, keys, rows
from tests.engine.making import until
from tests.helpers.clock import FakeClock
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate


async def test_a_deadline_ends_a_run_and_what_is_left_is_told(photos: Path) -> None:
    async with emulate(EIGHT_ANSWERS) as hung:
        clock = FakeClock()
        deadline = datetime.fromtimestamp(clock.time() + 100, UTC).isoformat()
        job = job_for(photos, hung, concurrency=12, deadline=deadline)
        seen: list[RunStats] = []
        running = asyncio.ensure_future(run_live(job.plan(), clock, {}, seen.append))
        await until(lambda: hung.stats.answered == 8 and hung.stats.in_flight == 12)
        await clock.advance(100)
        await until(lambda: seen[0].recorded == 8)
        assert not running.done(), "what is in flight is paid for"
        await clock.advance(OVERTIME_SECONDS + 1)
        summary = await asyncio.wait_for(running, 20)
        assert hung.stats.requests == 20, "nothing new was sent"
        assert (summary.stopped, summary.exit_code, summary.stats.left) == ("deadline", 4, 32)
        assert len(keys(job)) == 8
        [told] = read_status(job.out).runs
        assert (told["stopped"], told["left"]) == ("deadline", 32)
        [endpoint] = told["endpoints"].values()
        assert (endpoint["requests"], endpoint["limits"]["concurrency"]) == (8, 12)


async def test_a_deadline_that_comes_when_all_is_done_changes_nothing(photos: Path, emulator: Running) -> None:
    tomorrow = datetime.fromtimestamp(time.time() + 86_400, UTC).isoformat()
    summary = await run_async(job_for(photos, emulator, deadline=tomorrow))
    assert (summary.exit_code, summary.stopped, summary.stats.captioned) == (0, None, 40)
    with pytest.raises(UserError, match="has passed"):
        await run_async(job_for(photos, emulator, deadline="2020-01-01T00:00"))


async def test_after_sigterm_what_hangs_is_given_up_in_time(photos: Path) -> None:
    async with emulate(EIGHT_ANSWERS) as hung:
        job = job_for(photos, hung, concurrency=12, grace_seconds=0.2)
        running = asyncio.ensure_future(run_async(job))
        await until(lambda: hung.stats.answered == 8 and hung.stats.in_flight == 12)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        assert not running.done()
        summary = await asyncio.wait_for(running, 20)
        assert (summary.exit_code, len(keys(job)), summary.stats.left) == (143, 8, 32)


class HangingSource:
    """Lists one image, and then waits for a server that is gone."""

    answers = threading.Event()

    def __init__(self, folder: Path) -> None:
        self._source = open_source(SourceOptions(paths=(str(folder),)))

    def list(self) -> Iterator[SourceImage]:
        for number, found in enumerate(self._source.list()):
            if number == PAGE_IMAGES:
                self.answers.wait(30)
            yield found

    def read(self, image: SourceImage) -> bytes:
        return self._source.read(image)

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self._source.read_head(image, count)


async def test_a_listing_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    [original] = write_jpegs(tmp_path / "originals", 1)
    (tmp_path / "photos").mkdir()
    for number in range(PAGE_IMAGES + 1):
        os.link(original, tmp_path / "photos" / f"{number:04}.jpg")
    monkeypatch.setattr(live, "open_images", lambda *options: HangingSource(tmp_path / "photos"))
    monkeypatch.setattr(pools, "LEAVE_SECONDS", 0.1)
    job = job_for(tmp_path / "photos", emulator)
    seen: list[RunStats] = []
    running = asyncio.ensure_future(run_async(job, seen.append))
    await until(lambda: seen and seen[0].recorded == PAGE_IMAGES)
    await interrupt()
    summary = await asyncio.wait_for(running, 10)
    HangingSource.answers.set()
    assert (summary.exit_code, len(keys(job))) == (130, PAGE_IMAGES)
    assert not summary.stats.listing_done
    await until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("list")])


async def test_the_first_stop_awaits_and_records_what_was_sent(photos: Path) -> None:
    async with emulate(EmulatorOptions(latency=0.15)) as slow:
        job = job_for(photos, slow, concurrency=4)
        running = asyncio.ensure_future(run_async(job))
        await until(lambda: slow.stats.in_flight == 4)
        await interrupt()
        summary = await running
        assert (summary.stopped, summary.exit_code) == ("interrupted", 130)
        assert slow.stats.requests == slow.stats.answered == len(keys(job)) == 4
        assert slow.stats.abandoned == 0
        assert (await run_async(job)).exit_code == 0
        assert slow.stats.requests == 40 == len(keys(job))
        assert slow.stats.repeated == 0


async def test_who_waits_for_a_retry_or_for_the_throttle_waits_for_the_next_run(photos: Path) -> None:
    busy = EmulatorOptions(scenario=(Step("rate_limit", requests=(3, 9), retry_after=500.0),))
    async with emulate(busy) as server:
        job = job_for(photos, server, concurrency=3, rpm=10_000)
        running = asyncio.ensure_future(run_async(job))
        await until(lambda: server.stats.faults["rate_limit"] >= 1 and server.stats.in_flight == 0)
        await interrupt()
        summary = await asyncio.wait_for(running, 20)
        assert summary.exit_code == 130
        assert server.stats.answered == len(keys(job)) < server.stats.requests
        assert {row["status"] for row in rows(job)} == {"captioned"}


async def unwritten(photos: Path, hung: Running) -> tuple[Job, asyncio.Task[Summary], RunStats]:
    """A run with eight answers that are received and not yet recorded, and the other requests without an answer.

    Its clock stands still, so the recorder waits for company for the rows.
    """
    job = job_for(photos, hung, concurrency=12)
    seen: list[RunStats] = []
    running = asyncio.ensure_future(run_live(job.plan(), FakeClock(), {}, seen.append))
    await until(lambda: hung.stats.answered == 8 and hung.stats.in_flight == 12)
    await asyncio.sleep(0.05)
    assert seen[0].recorded == 0
    return job, running, seen[0]


async def test_the_second_stop_records_what_was_received(photos: Path) -> None:
    async with emulate(EIGHT_ANSWERS) as hung:
        job, running, stats = await unwritten(photos, hung)
        await interrupt()
        assert not running.done()
        await interrupt()
        summary = await asyncio.wait_for(running, 20)
        assert summary.exit_code == 130
        assert stats.recorded == 8 == len(keys(job))
        assert running.cancelling() == 0


async def test_a_foreign_cancellation_records_what_was_received(photos: Path) -> None:
    async with emulate(EIGHT_ANSWERS) as hung:
        job, running, stats = await unwritten(photos, hung)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert stats.recorded == 8 == len(keys(job))
    async with emulate() as patient:
        again = job.overlay(base_url=patient.base_url)
        assert (await run_async(again)).stats.captioned == 32, "the output is not locked, and nothing is asked twice"


async def test_a_timeout_around_a_run_ends_it_in_order(photos: Path) -> None:
    async with emulate(EIGHT_ANSWERS) as hung:
        job = job_for(photos, hung, concurrency=12)

        async def run_within_a_limit() -> None:
            async with asyncio.timeout(None) as limit:
                reaching = asyncio.ensure_future(reach(limit))
                await run_async(job)
                reaching.cancel()

        async def reach(limit: asyncio.Timeout) -> None:
            await until(lambda: hung.stats.answered == 8 and hung.stats.in_flight == 12)
            await asyncio.sleep(0.05)
            limit.reschedule(0)

        with pytest.raises(TimeoutError):
            await run_within_a_limit()
        assert len(keys(job)) == hung.stats.answered == 8


async def test_cancelled_at_any_moment_it_unlocks_its_output(photos: Path, emulator: Running) -> None:
    job = job_for(photos, emulator)
    for milliseconds in (0, 1, 2, 4, 8, 16, 32, 64):
        running = asyncio.ensure_future(run_async(job))
        await asyncio.sleep(milliseconds / 1000)
        running.cancel()
        await asyncio.wait([running])
    assert (await run_async(job)).exit_code == 0
    assert len(keys(job)) == 40
