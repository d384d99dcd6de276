"""Whole runs in this process, against the emulator over real HTTP, and what they left behind."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine.live.run import run_live
from pipeline.engine.stats import Summary
from pipeline.job import Job
from tests.helpers.clock import FakeClock
from tests.helpers.rows import rows_of

EIGHT_ANSWERS = EmulatorOptions(scenario=(Step("hang", requests=(9, 1000)),))


def job_for(photos: Path, server: Running | str, **options: Any) -> Job:
    base_url = server if isinstance(server, str) else server.base_url
    return Job.create(photos, photos.parent / "out", model="openai:gpt-4o", base_url=base_url, **options)


def rows(job: Job) -> list[dict[str, Any]]:
    return list(rows_of(job.out).values())


def keys(job: Job) -> list[str]:
    return list(rows_of(job.out))


async def in_virtual_time(job: Job) -> Summary:
    """The run, without waiting for what it waits for before it tries again."""
    clock = FakeClock()
    with clock.autojump(0.005):
        return await run_live(job.plan(), clock, {})


async def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.01)
