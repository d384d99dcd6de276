"""A stop, and trouble of anything: what was sent is recorded, nothing more is sent."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from pipeline.api.throttle import ThrottleClosed
from pipeline.engine.live import stages
from pipeline.errors import NightcapError, RunError, UserError
from pipeline.items import Answer, Failure, Request, SourceImage, Unprepared
from tests.engine.live.stages.staging import caption, keys, run, running
from tests.engine.making import (
    MemoryStore,
    ScriptedProvider,
    answer,
    image,
    line,
    reply,
    until,
)


@pytest.mark.parametrize("ended_by", [ThrottleClosed(), RunError("401")], ids=["throttle closed", "refused"])
async def test_a_stop_lets_what_was_sent_end_and_sends_nothing_more(ended_by: Exception) -> None:
    sent, may_answer = asyncio.Semaphore(0), asyncio.Event()

    async def ask(asked: Request) -> Answer:
        sent.release()
        await may_answer.wait()
        if asked.image.key == "0000":  # was waiting for its retry
            raise ended_by
        return await caption(asked)

    of = line(capacity=2, askers=3)
    provider, store = ScriptedProvider(ask, 3), MemoryStore()
    async with running(of, iter([image(name) for name in keys(500)]), provider, store):
        for _ in range(3):
            await sent.acquire()
        of.stop.interrupt("interrupted")
        may_answer.set()
    assert sorted(provider.asked) == ["0000", "0001", "0002"]
    assert store.keys == ["0001", "0002"], "what was not answered has no row, and waits for the next run"
    assert of.in_flight.used == 0
    assert of.stop.reason == "interrupted"
    assert str(of.stop.error) == ("401" if isinstance(ended_by, RunError) else "None")


async def test_trouble_of_the_account_stops_the_run() -> None:
    async def refuse(asked: Request) -> Answer:
        raise RunError("The endpoint refused the credentials.")

    of, provider, store = line(), ScriptedProvider(refuse), MemoryStore()
    await run(of, keys(50), provider, store)
    assert provider.asked == ["0000"]
    assert store.rows == []
    assert (str(of.stop.error), of.stop.reason) == ("The endpoint refused the credentials.", "trouble")
    assert of.in_flight.used == 0


async def test_what_was_paid_for_before_the_trouble_is_a_row() -> None:
    async def refuse(asked: Request) -> Answer:
        return replace(answer(Failure("server_error", "Empty.", usage=reply().usage)), trouble="The quota is used up.")

    of, provider, store = line(), ScriptedProvider(refuse), MemoryStore()
    await run(of, keys(50), provider, store)
    assert [(row.key, row.status, row.total_tokens) for row in store.rows] == [("0000", "failed", 275)]
    assert (str(of.stop.error), of.stop.reason) == ("The quota is used up.", "trouble")


@pytest.mark.parametrize("error", [RunError("The bucket is gone."), UserError("The folder cannot be read.")])
async def test_trouble_of_the_listing_stops_the_run_and_keeps_what_was_listed(error: NightcapError) -> None:
    def listing() -> Iterator[SourceImage]:
        for name in keys(stages.PAGE_IMAGES):
            yield image(name)
        asked.wait(20)
        raise error

    asked = threading.Event()

    async def ask(request: Request) -> Answer:
        asked.set()
        await until(lambda: of.stop.requested)
        return await caption(request)

    of, store = line(capacity=1000), MemoryStore()
    async with running(of, listing(), ScriptedProvider(ask), store):
        pass
    assert of.stop.error is error
    assert store.keys == ["0000"], "it was sent"
    assert not of.stats.listing_done


async def test_trouble_of_the_source_while_reading_stops_the_run() -> None:
    def prepare(images: Sequence[SourceImage]) -> list[Request | Unprepared]:
        raise RunError("The bucket refused the credentials.")

    of, provider, store = line(), ScriptedProvider(caption), MemoryStore()
    await run(of, keys(50), provider, store, prepare=prepare)
    assert (provider.asked, store.rows) == ([], [])
    assert of.stop.reason == "trouble"


async def test_a_bug_cancels_all_and_comes_out_as_it_is() -> None:
    async def ask(request: Request) -> Answer:
        raise KeyError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        await run(line(), keys(50), ScriptedProvider(ask), MemoryStore())
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert asyncio.all_tasks() == {asyncio.current_task()}
