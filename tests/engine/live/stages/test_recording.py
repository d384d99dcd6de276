"""Rows on their way to the store: in company, once, and also when the disk refuses."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import count

import pytest

from pipeline.api.attempt import Target
from pipeline.api.client import Response
from pipeline.engine.flow.channel import Channel
from pipeline.engine.live import stages
from pipeline.engine.live.stages import (
    ask_images,
    record_images,
    record_rest,
    take_records,
)
from pipeline.engine.raw import RawReplies
from pipeline.engine.record import Asked, to_record
from pipeline.errors import RunError
from pipeline.items import Answer, Record, Request
from tests.engine.live.stages.staging import ImpatientClock, broken, caption, keys, run, running
from tests.engine.making import (
    MemoryStore,
    ScriptedProvider,
    answer,
    asking,
    context,
    image,
    line,
    reply,
    request,
    until,
)
from tests.helpers.clock import FakeClock


async def test_a_disk_that_refuses_once_costs_no_answer() -> None:
    """The run stops, but waits for what is in flight, and tries the refused rows again with the next ones."""
    asked = count(1)

    async def ask(request: Request) -> Answer:
        if next(asked) > 1:
            await until(lambda: of.stop.requested)
        return await caption(request)

    of = line(askers=4)
    store = MemoryStore(troubles=[RunError("No space is left.")])
    provider = ScriptedProvider(ask, 4)
    await run(of, keys(50), provider, store)
    assert store.keys == sorted(provider.asked)
    assert 4 <= len(store.keys) < 50
    assert of.stop.reason == "trouble"
    assert of.unwritten == []


async def test_rows_that_the_disk_never_took_are_left_for_a_last_try() -> None:
    of, store = line(), MemoryStore(troubles=[RunError("No space is left.")] * 50)
    await run(of, keys(1), ScriptedProvider(caption), store)
    assert [row.key for row in take_records(of, 10)] == ["0000"]
    assert of.unwritten == []
    assert of.stats.recorded == 0, "a row counts when the store has taken it"


async def test_the_last_try_counts_what_it_brings_in_and_what_is_lost() -> None:
    refused = [RunError("No space is left.")]
    for troubles, recorded in (refused * 1, 1), (refused * 2, 0):
        of, store = line(), MemoryStore(troubles=troubles)
        of.raw = RawReplies(FakeClock())
        of.raw.add("a", Target("host", "openai", "gpt-4o"), Response(200, {}, b"a reply"))
        await run(of, keys(1), ScriptedProvider(caption), store)
        with ThreadPoolExecutor(1) as disk, nullcontext() if recorded else pytest.raises(RunError):
            await record_rest(of, store, disk)
        assert store.raw.count(b"a reply") == recorded
        assert (of.stats.recorded, of.stats.unrecorded, len(store.rows)) == (recorded, 1 - recorded, recorded)
        assert of.stats.left == 1 - recorded


async def test_a_write_that_nobody_waits_for_any_more_is_counted_once() -> None:
    of, may_end = line(), threading.Event()

    class SlowStore(MemoryStore):
        def append(self, records: Sequence[Record], raw: bytes = b"") -> None:
            may_end.wait(10)
            super().append(records, raw)

    store = SlowStore()
    of.done = Channel("done", 4, senders=1)
    for name in "ab":
        await of.done.put(to_record(Asked(request(name), answer(reply())), context()))
    with ThreadPoolExecutor(1) as disk:
        recording = asyncio.ensure_future(record_images(of, store, disk, ImpatientClock()))
        while of.writing is None:
            await asyncio.sleep(0)
        recording.cancel()
        await asyncio.wait([recording])
        asyncio.get_running_loop().call_later(0.01, may_end.set)
        await record_rest(of, store, disk)
    assert (of.stats.recorded, store.keys, of.unwritten) == (2, ["a", "b"], [])


async def test_an_answer_that_waits_for_the_recorder_survives_a_cancel() -> None:
    """It is paid for: whoever holds it while the run is cancelled leaves it in the channel."""
    of = line(capacity=1, askers=3)
    of.ready.capacity = 3
    with ThreadPoolExecutor(1) as disk:
        for name in "abc":
            await of.in_flight.take(4)
            await of.ready.put(request(name))
        provider = ScriptedProvider(caption)
        shared = asking(provider, disk)
        tasks = [asyncio.ensure_future(ask_images(of, shared)) for _ in range(3)]
        await until(lambda: of.in_flight.used == 0)
        assert len(of.done) == 1, "the others wait for room"
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert sorted(row.key for row in take_records(of, 10)) == ["a", "b", "c"]
    assert of.in_flight.used == 0


async def test_rows_that_come_together_share_a_commit() -> None:
    clock, store, of = FakeClock(), MemoryStore(), line(capacity=1000)
    with ThreadPoolExecutor(1) as disk:
        recording = asyncio.ensure_future(record_images(of, store, disk, clock))
        for name in keys(20):
            await of.done.put(to_record(broken(image(name)), context()))
            await asyncio.sleep(0)
        assert store.appends == 0
        await clock.advance(stages.GATHER_STEPS * stages.GATHER_STEP_SECONDS)
        await until(lambda: store.appends == 1)
        assert len(store.rows) == 20
        for name in keys(stages.COMMIT_ROWS):
            await of.done.put(to_record(broken(image(name)), context()))
        await clock.advance(stages.GATHER_STEP_SECONDS)  # a whole commit's worth waits no longer
        await until(lambda: store.appends == 2)
        recording.cancel()
        await asyncio.wait([recording])


async def test_an_idle_store_is_called_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock stays alive, and waiting rows become a part in time."""
    monkeypatch.setattr(stages, "IDLE_SECONDS", 0.001)
    store, answering = MemoryStore(), asyncio.Event()

    async def ask(request: Request) -> Answer:
        await answering.wait()
        return await caption(request)

    async with running(line(), iter([image()]), ScriptedProvider(ask), store):
        await until(lambda: store.appends > 2)
        assert store.rows == []
        answering.set()
    assert len(store.rows) == 1
