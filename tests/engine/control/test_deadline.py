"""When a deadline is, and when to stop for it."""

import asyncio
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pipeline.engine.control.deadline import (
    OVERTIME_SECONDS,
    SLOWER,
    UNKNOWN_LATENCY_SECONDS,
    WRITING_SECONDS,
    parse_deadline,
    watch_deadline,
)
from pipeline.engine.stop import Stop
from pipeline.errors import UserError
from tests.helpers.clock import FakeClock


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place where clocks change."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
    assert os.environ.get("TZ") != "Europe/Berlin"


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("deadline", "now", "is_at"),
    [
        ("06:00", "2026-11-21T23:30+01:00", "2026-11-22T06:00+01:00"),
        ("06:00", "2026-11-22T05:59+01:00", "2026-11-22T06:00+01:00"),
        ("06:00", "2026-11-22T06:00+01:00", "2026-11-23T06:00+01:00"),
        ("6:00", "2026-11-22T05:59+01:00", "2026-11-22T06:00+01:00"),
        ("06:00:30", "2026-11-22T06:00+01:00", "2026-11-22T06:00:30+01:00"),
        ("06:00", "2026-10-24T22:00+02:00", "2026-10-25T06:00+01:00"),  # clocks go back that night
        ("06:00", "2027-03-27T22:00+01:00", "2027-03-28T06:00+02:00"),  # and forward
        ("02:30", "2027-03-27T22:00+01:00", "2027-03-28T03:30+02:00"),  # a time that is left out that night
        ("2026-11-22T06:00", "2026-11-21T23:30+01:00", "2026-11-22T06:00+01:00"),
        ("2026-11-22 06:00:00", "2026-11-21T23:30+01:00", "2026-11-22T06:00+01:00"),
        ("2026-11-22T06:00Z", "2026-11-21T23:30+01:00", "2026-11-22T07:00+01:00"),
        ("2026-11-22T06:00-05:00", "2026-11-21T23:30+01:00", "2026-11-22T12:00+01:00"),
    ],
)
def test_what_a_deadline_means(deadline: str, now: str, is_at: str) -> None:
    assert datetime.fromtimestamp(parse_deadline(deadline, seconds(now)), UTC) == datetime.fromisoformat(is_at)


@pytest.mark.parametrize("deadline", ["", "soon", "25:00", "06:00Z", "6", "06:00 pm", "2026-13-01T06:00"])
def test_what_is_no_time(deadline: str) -> None:
    with pytest.raises(UserError, match=r"no time; write 06:00"):
        parse_deadline(deadline, 0.0)


def test_what_has_passed() -> None:
    with pytest.raises(UserError, match="has passed: it is 2026-11-22 12:00 now"):
        parse_deadline("2026-11-22T06:00", seconds("2026-11-22T12:00+01:00"))


async def stopped_at(latency: float | None, seconds_until: float) -> float:
    """Seconds before the deadline, by which nothing new is sent."""
    clock = FakeClock()
    stop = Stop(clock, 25.0)
    times: list[float] = []
    stop.on_request(lambda: times.append(clock.elapsed))
    with clock.autojump():
        await asyncio.wait_for(watch_deadline(clock.time() + seconds_until, stop, lambda: latency, clock), 10)
    assert stop.reason == "deadline"
    assert clock.elapsed == pytest.approx(seconds_until + OVERTIME_SECONDS, abs=0.1), "then what is left is given up"
    return seconds_until - times[0]


async def test_it_stops_as_long_before_as_slow_answers_take() -> None:
    assert await stopped_at(5.0, 600) == pytest.approx(5.0 * SLOWER + WRITING_SECONDS, abs=0.1)
    assert await stopped_at(0.1, 600) == pytest.approx(0.1 * SLOWER + WRITING_SECONDS, abs=0.1)
    assert await stopped_at(None, 600) == pytest.approx(UNKNOWN_LATENCY_SECONDS, abs=0.1)
    assert await stopped_at(None, 3) == 3, "at once"


async def test_answers_that_become_slower_move_it_forward() -> None:
    clock = FakeClock()
    stop = Stop(clock, 25.0)
    latency = [1.0]
    watching = asyncio.ensure_future(watch_deadline(clock.time() + 100, stop, lambda: latency[0], clock))
    await clock.advance(50)
    latency[0] = 40.0
    assert not stop.requested
    await clock.advance(5)
    assert stop.reason == "deadline"
    watching.cancel()
