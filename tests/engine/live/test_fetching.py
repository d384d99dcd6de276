"""Fetching alone: what is tried again, what is given up, what is in memory meanwhile."""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.engine.flow.byte_budget import ByteBudget
from pipeline.engine.flow.channel import Channel
from pipeline.engine.live import fetching
from pipeline.engine.live.fetching import ATTEMPTS, PATIENCE_SECONDS, Fetcher, fetch_images, wait_seconds
from pipeline.engine.live.stages import Line, take_records
from pipeline.engine.preparing.preparer import Fetched, Listed
from pipeline.errors import ImageError, RunError, Unavailable, UserError
from pipeline.items import Failure, Record, SourceImage
from pipeline.sources import Source, has_remote
from pipeline.sources.groups.source import Grouped
from pipeline.sources.several import Part, Several
from tests.engine.making import line
from tests.helpers.clock import FakeClock
from tests.helpers.listing import Listing
from tests.helpers.remote import RemoteListing, Trouble

BUSY = Unavailable("s3://b/ does not answer (503 SlowDown).")


async def fetched(
    source: Source, of: Line, clock: FakeClock, fetchers: int = 4, images: Sequence[SourceImage] | None = None
) -> tuple[list[Listed], list[Record]]:
    """All that comes out of the stage; every file is given back as soon as it came."""
    listed: Channel[SourceImage] = Channel("listed", 1000, senders=1)
    of.todo = Channel("todo", 1000, senders=fetchers)
    of.done = Channel("done", 1000, senders=fetchers)
    fetcher = Fetcher(source, of.stop, clock, random.Random(1))
    came: list[Listed] = []

    async def prepare() -> None:
        while (item := await of.todo.get()) is not None:
            came.append(item)
            of.fetched.give_back(item.size if isinstance(item, Fetched) else 0)

    with clock.autojump():
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for _ in range(fetchers):
                group.create_task(fetch_images(of, listed, fetcher))
            group.create_task(prepare())
            with listed.sending():
                for image in source.list() if images is None else images:
                    await listed.put(image)
    return came, take_records(of, 1000)


def on_attempt(attempts: int, error: Exception) -> Trouble:
    """The first `attempts` of each image fail."""
    return lambda image, attempt: error if attempt <= attempts else None


async def test_all_are_fetched_many_at_once() -> None:
    files = {f"{number}.jpg": bytes(number) for number in range(50)}
    source = RemoteListing(files)
    came, failed = await fetched(source, line(max_bytes=10_000), FakeClock(), fetchers=8)
    assert {item.image.key: item.files[0] for item in came if isinstance(item, Fetched)} == files
    assert not failed
    assert source.most_at_once == 8


async def test_bytes_in_memory_are_bounded_whatever_the_listing_said() -> None:
    """Sizes that are unknown, too small or too large in the listing: the budget is whole again in the end."""
    source = RemoteListing({str(number): b"x" * 100 for number in range(30)})
    images = list(source.list())
    images[3] = replace(images[3], bytes=None)
    images[7] = replace(images[7], bytes=1)
    images[9] = replace(images[9], bytes=100_000)
    of = line()
    of.fetched = ByteBudget(250)
    came, _ = await fetched(source, of, FakeClock(), fetchers=8, images=images)
    assert len(came) == 30
    assert source.most_at_once <= 4
    assert of.fetched.used == 0


async def test_a_store_that_throttles_is_waited_for_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    until = clock.monotonic() + 300
    source = RemoteListing(
        {str(number): b"x" for number in range(20)},
        lambda image, attempt: BUSY if clock.monotonic() < until else None,
    )
    came, failed = await fetched(source, line(), clock)
    assert len(came) == 20
    assert not failed
    assert 300 <= clock.elapsed < 340
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == [f"Waiting: {BUSY}"]


async def test_a_store_that_stays_away_ends_the_run() -> None:
    clock, of = FakeClock(), line()
    source = RemoteListing({str(number): b"x" for number in range(20)}, lambda image, attempt: BUSY)
    came, failed = await fetched(source, of, clock)
    assert of.stop.error is BUSY
    assert came == failed == []
    assert PATIENCE_SECONDS <= clock.elapsed < PATIENCE_SECONDS + 2 * fetching.LONGEST_WAIT_SECONDS
    assert of.fetched.used == 0


async def test_one_image_that_never_comes_is_a_row_that_the_next_run_asks_again() -> None:
    source = RemoteListing(
        {str(number): b"x" for number in range(20)},
        lambda image, attempt: BUSY if image.key == "3" else None,
    )
    came, failed = await fetched(source, line(), FakeClock())
    assert len(came) == 19
    assert [(row.key, row.reason) for row in failed] == [("3", "server_error")]
    assert source.attempts["3"] == ATTEMPTS


async def test_trouble_that_passes_is_no_trouble() -> None:
    source = RemoteListing({str(number): b"x" for number in range(20)}, on_attempt(2, BUSY))
    came, failed = await fetched(source, line(), FakeClock())
    assert (len(came), failed) == (20, [])
    assert set(source.attempts.values()) == {3}


async def test_an_image_that_is_gone_is_a_row_at_once() -> None:
    gone = ImageError("unreadable", "It is gone since it was listed.")
    source = RemoteListing({"a": b"x", "b": b"x"}, lambda image, attempt: gone if image.key == "a" else None)
    came, failed = await fetched(source, line(), FakeClock())
    assert len(came) == 1
    assert [(row.key, row.reason, row.message) for row in failed] == [
        ("a", "unreadable", "It is gone since it was listed.")
    ]
    assert source.attempts["a"] == 1


async def test_a_bug_in_a_source_costs_one_row() -> None:
    source = RemoteListing({"a": b"x", "b": b"x"}, lambda image, attempt: ValueError("?") if image.key == "a" else None)
    came, failed = await fetched(source, line(), FakeClock())
    assert len(came) == 1
    assert [row.reason for row in failed] == ["undecodable"]


@pytest.mark.parametrize("error", [RunError("Credentials have expired."), UserError("No permission.")])
async def test_trouble_of_the_source_stops_the_run(error: RunError | UserError) -> None:
    of = line()
    source = RemoteListing(
        {str(number): b"x" for number in range(20)}, lambda image, attempt: error if image.key == "5" else None
    )
    await fetched(source, of, FakeClock(), fetchers=1)
    assert of.stop.error is error
    assert set(source.attempts) == set("012345")
    assert of.fetched.used == 0


async def test_a_stop_ends_the_waiting_at_once() -> None:
    clock, of = FakeClock(), line()
    clock.call_later(20, lambda: of.stop.request("interrupted"))
    source = RemoteListing({str(number): b"x" for number in range(20)}, lambda image, attempt: BUSY)
    came, failed = await fetched(source, of, clock)
    assert came == failed == []
    assert clock.elapsed == 20
    assert of.stop.error is None
    assert of.fetched.used == 0


async def test_who_waits_for_room_when_the_run_stops_does_not_begin() -> None:
    clock, of = FakeClock(), line()
    of.fetched = ByteBudget(1)
    clock.call_later(20, lambda: of.stop.request("interrupted"))
    source = RemoteListing({str(number): b"x" for number in range(20)}, lambda image, attempt: BUSY)
    came, failed = await fetched(source, of, clock)
    assert came == failed == []
    assert clock.elapsed == 20
    assert set(source.attempts) == {"0"}


async def test_a_stop_ends_a_second_fetch_too() -> None:
    clock, of = FakeClock(), line()
    clock.call_later(20, lambda: of.stop.request("interrupted"))
    source = RemoteListing({"a": b"x"}, lambda image, attempt: BUSY)
    fetcher = Fetcher(source, of.stop, clock, random.Random(1))
    with clock.autojump():
        for _ in range(2):  # when it is under way, and when it has not begun
            assert await fetcher.fetch_again(next(source.list())) is None
    assert clock.elapsed == 20


async def test_only_what_is_remote_is_fetched() -> None:
    source = Several(
        [Part("here", "here", Listing({"a": b"1"})), Part("there", "there", RemoteListing({"a": b"1", "b": b"2"}))]
    )
    assert has_remote(source)
    images = [
        *source.list(),
        replace(next(source.list()), key="there/c", failure=Failure("unreadable", "No such row.")),
    ]
    came, failed = await fetched(source, line(), FakeClock(), images=images)
    assert not failed
    kinds = {(item.image.key, True) if isinstance(item, Fetched) else (item.key, False) for item in came}
    assert kinds == {("here/a", False), ("there/a", True), ("there/b", True), ("there/c", False)}


async def test_images_that_are_asked_about_together_come_together() -> None:
    files = {f"{group}/{number}": bytes(100) for group in range(6) for number in range(5)}
    source = RemoteListing(files, lambda image, attempt: BUSY if attempt == 1 else None)
    groups = list(Grouped(source, "folder").list())
    groups[2] = replace(groups[2], bytes=None)
    groups[4] = replace(groups[4], failure=Failure("too_large", "Too many."))
    of = line()
    of.fetched = ByteBudget(1200)
    came, failed = await fetched(Grouped(source, "folder"), of, FakeClock(), fetchers=6, images=groups)
    assert not failed
    assert [item for item in came if not isinstance(item, Fetched)] == [groups[4]], "nothing of it is read"
    assert {(item.image.key, item.files) for item in came if isinstance(item, Fetched)} == {
        (str(group), (bytes(100),) * 5) for group in range(6) if group != 4
    }
    assert source.most_at_once <= 2, "two groups fit into the budget, and each fetches one file at a time"
    assert of.fetched.used == 0


async def test_one_image_that_is_gone_is_named_in_the_row_of_all() -> None:
    source = RemoteListing({"a/1": b"x", "a/2": None, "b/1": b"x"})
    came, [failed] = await fetched(Grouped(source, "folder"), line(), FakeClock())
    assert [item.image.key for item in came if isinstance(item, Fetched)] == ["b"]
    assert (failed.key, failed.reason, failed.message) == ("a", "unreadable", "a/2: The file cannot be read.")


async def test_no_more_of_a_group_is_fetched_than_memory_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.engine.live.fetching.GROUP_BYTES", 150)
    source = RemoteListing({"a/1": bytes(100), "a/2": bytes(100), "a/3": bytes(100), "b/1": bytes(100)})
    of = line()
    came, [failed] = await fetched(Grouped(source, "folder"), of, FakeClock())
    assert [item.image.key for item in came if isinstance(item, Fetched)] == ["b"]
    assert (failed.key, failed.reason) == ("a", "too_large")
    assert of.fetched.used == 0


def test_a_folder_alone_is_not_remote() -> None:
    assert not has_remote(Listing({}))
    assert not has_remote(Several([Part("here", "here", Listing({}))]))


def test_waits_double_up_to_half_a_minute() -> None:
    waits = [wait_seconds(attempt, random.Random(3)) for attempt in range(1, 12)]
    assert waits == sorted(waits)
    assert 0.25 <= waits[0] <= 0.5
    assert 15 <= waits[-1] <= 30
