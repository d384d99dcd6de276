"""The file is looked at again and again; only what is new and right is handed on."""

import asyncio
import logging

import pytest

from pipeline.api.options import LimitOptions
from pipeline.engine.control.watching import LOOK_SECONDS, watch_limits
from pipeline.errors import RunError
from tests.helpers.clock import FakeClock

JOB = {"": LimitOptions(rpm=600)}


class ControlFile:
    """What is in it now; an exception is raised."""

    content: bytes | Exception | None = None

    async def read(self) -> bytes | None:
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


async def test_changes_come_through_once_and_mistakes_do_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock, file, changes = FakeClock(), ControlFile(), []
    job = dict(JOB)

    def change(name: str, limits: LimitOptions) -> None:
        job[name] = limits  # a caller may keep them where it had the job's
        changes.append(limits.rpm)

    watching = asyncio.ensure_future(watch_limits(file.read, dict(job), change, clock))
    for content, expected, said in (
        (None, [], ""),
        (b"rpm = 60", [60], "control.toml: rpm 60 instead of 600"),
        (b"rpm = 60", [60], ""),
        (b"rpm = ", [60], "control.toml changes nothing: it is no TOML"),
        (b"rpm = ", [60], ""),
        (OSError("gone for a moment"), [60], ""),
        (RunError("the bucket does not answer"), [60], ""),
        (b"rpm = 60 # the same", [60], ""),
        (b"rpm = 90", [60, 90], "control.toml: rpm 90 instead of 60"),
        (None, [60, 90, 600], "control.toml: rpm 600 instead of 90"),
    ):
        file.content = content
        caplog.clear()
        await clock.advance(LOOK_SECONDS)
        assert changes == expected
        assert [said] == ([record.getMessage()[: len(said)] for record in caplog.records] or [""])
    watching.cancel()


async def test_what_was_there_before_the_run_holds_at_once_and_an_endpoint_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock, file, changes = FakeClock(), ControlFile(), []
    file.content = b"[west]\ntpm = 5000"
    job = {"west": LimitOptions(), "east": LimitOptions()}
    watching = asyncio.ensure_future(
        watch_limits(file.read, job, lambda name, limits: changes.append((name, limits.tpm)), clock)
    )
    await clock.settle()
    assert changes == [("west", 5000)]
    assert "control.toml: west: tpm 5,000 instead of unlimited" in caplog.text
    watching.cancel()
