"""The same content is asked about once in a run, whatever the order in which its copies come."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.asking import reuse as module
from pipeline.engine.asking.reuse import Reuse
from pipeline.engine.live.stages import Line, ask_images, record_rest
from pipeline.engine.record import Asked, to_record
from pipeline.errors import NightcapError, RunError, UserError
from pipeline.items import OWN_PROMPT, Answer, Failure, Record, Request
from tests.engine.making import (
    Dollar,
    MemoryStore,
    ScriptedProvider,
    answer,
    asking,
    context,
    line,
    reply,
    request,
)
from tests.helpers.clock import FakeClock


async def ask_all(
    requests: Sequence[Request], provider: ScriptedProvider, store: MemoryStore
) -> tuple[Line, list[Record]]:
    """Let the provider's tasks ask these, and record it only then."""
    of = line(capacity=len(requests) + 1, askers=provider.concurrency, max_bytes=10**6)
    with ThreadPoolExecutor(1) as disk:
        shared = asking(provider, disk, store)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            with of.ready.sending():
                for each in requests:
                    await of.in_flight.take(len(each.body))
                    await of.ready.put(each)
                for _ in range(provider.concurrency):
                    group.create_task(ask_images(of, shared))
        written = MemoryStore()
        await record_rest(of, written, disk)
    return of, written.rows


async def caption(each: Request) -> Answer:
    await asyncio.sleep(0)
    return answer(reply(f"Caption of {each.content_hash}"), price=Dollar())


def row_of(asked: Request, answered: Answer) -> Record:
    return to_record(Asked(asked, answered), context())


@settings(max_examples=50, deadline=None)
@given(contents=st.lists(st.sampled_from("abc"), min_size=1, max_size=12), askers=st.integers(1, 4))
async def test_each_content_is_paid_for_once(contents: list[str], askers: int) -> None:
    requests = [request(f"{n}.jpg", content=content) for n, content in enumerate(contents)]
    provider = ScriptedProvider(caption, askers)
    of, rows = await ask_all(requests, provider, MemoryStore())
    assert sorted(row.key for row in rows) == sorted(each.image.key for each in requests)
    assert {row.key: row.caption for row in rows} == {
        each.image.key: f"Caption of {each.content_hash}" for each in requests
    }
    assert len(provider.asked) == len(set(contents))
    assert sum(row.mode == "reused" for row in rows) == len(contents) - len(set(contents)) == of.stats.reused
    assert sum(row.cost_usd or 0 for row in rows) == 275 * len(set(contents)) == of.stats.cost_usd
    assert of.in_flight.used == 0


@pytest.mark.parametrize("flaw", [Failure("filtered:hate", "It was filtered.", "filtered"), reply("")])
async def test_what_got_no_caption_is_asked_for_each_copy(flaw: Failure) -> None:
    async def ask(each: Request) -> Answer:
        await asyncio.sleep(0)
        return answer(flaw if each.image.key in ("0", "1") else reply())

    provider = ScriptedProvider(ask, 2)
    of, rows = await ask_all([request(str(n), content="same") for n in range(9)], provider, MemoryStore())
    assert {row.key for row in rows if row.status != "captioned"} == {"0", "1"}
    assert len(rows) == 9
    assert len(provider.asked) < 9, "once there is a caption, the rest shares it"
    assert of.in_flight.used == 0


async def test_many_copies_without_a_caption_do_not_queue_behind_each_other() -> None:
    together = most = 0

    async def ask(each: Request) -> Answer:
        nonlocal together, most
        together += 1
        most = max(most, together)
        for _ in range(20):
            await asyncio.sleep(0)
        together -= 1
        return answer(Failure("filtered:hate", "It was filtered.", "filtered"))

    copies = [request(str(n), content="same") for n in range(20)]
    _, rows = await ask_all(copies, ScriptedProvider(ask, 5), MemoryStore())
    assert len(rows) == 20
    assert most == 5, "nobody leaves while there may be more to ask"


async def test_an_image_with_its_own_prompt_shares_with_none_but_its_like() -> None:
    def asking(key: str, version: str) -> Request:
        each = request(key, content="same")
        return replace(each, image=replace(each.image, version=version))

    versions = {"a": "v1", "b": f"v1{OWN_PROMPT}aa", "c": f"v2{OWN_PROMPT}aa", "d": f"v1{OWN_PROMPT}bb", "e": "v3"}
    provider = ScriptedProvider(caption)
    await ask_all([asking(*pair) for pair in versions.items()], provider, MemoryStore())
    assert provider.asked == ["a", "b", "d"]


class SlowStore(MemoryStore):
    """May have everything, and takes its time to say that it has nothing."""

    asked, go = threading.Event(), threading.Event()

    def may_have_caption(self, content_hash: str) -> bool:
        return True

    def find_caption(self, content_hash: str, own_prompt: str) -> None:
        self.asked.set()
        assert self.go.wait(10)


async def test_what_was_answered_while_the_disk_was_asked_is_not_asked_again() -> None:
    store, [first, second] = SlowStore(), [request(name, content="same") for name in "ab"]
    with ThreadPoolExecutor(1) as disk:
        reuse = Reuse(store, disk, context(), FakeClock())
        assert not reuse.follow(first)
        finding = asyncio.ensure_future(reuse.find(second))
        while not store.asked.is_set():
            await asyncio.sleep(0)
        reuse.settle(first, row_of(first, answer(reply("Paid for."))))
        store.go.set()
        found = await finding
    assert found is not None
    assert (found.key, found.caption) == ("b", "Paid for.")


@pytest.mark.parametrize("error", [RunError("The quota is used up."), UserError("No permission.")])
async def test_trouble_of_the_run_settles_nobody(error: NightcapError) -> None:
    async def ask(each: Request) -> Answer:
        await asyncio.sleep(0)
        raise error

    provider = ScriptedProvider(ask, 3)
    of, rows = await ask_all([request(str(n), content="same") for n in range(6)], provider, MemoryStore())
    assert (rows, len(provider.asked), of.in_flight.used) == ([], 1, 0)
    assert of.stop.error is error


async def test_a_row_of_the_output_is_found_and_costs_nothing() -> None:
    before = row_of(request("old.jpg", content="same"), answer(reply("Paid for."), price=Dollar()))
    store, provider = MemoryStore(rows=[replace(before, run_id="run-0")]), ScriptedProvider(caption)
    of, rows = await ask_all([request("new.jpg", content="same"), request("other.jpg")], provider, store)
    assert provider.asked == ["other.jpg"]
    row = next(row for row in rows if row.key == "new.jpg")
    assert (row.caption, row.mode, row.status, row.run_id) == ("Paid for.", "reused", "captioned", "run-1")
    assert (row.cost_usd, row.total_tokens, row.prompt_tokens, row.attempts) == (Decimal(0), 0, 0, 0)
    assert (row.sent_bytes, row.predicted_prompt_tokens, row.latency_ms) == (None, None, None)
    assert row.request_id == before.request_id
    assert of.stats.residuals[("gpt-4o", "high")].total == 0, "a copy is no evidence about the provider's count"
    assert store.loads == 1


async def test_an_image_whose_version_alone_changed_keeps_its_row_with_its_cost() -> None:
    paid = row_of(request("a.jpg"), answer(reply("Paid for."), price=Dollar()))
    before = replace(paid, run_id="run-0")
    touched = replace(request("a.jpg"), image=replace(request("a.jpg").image, version="v2"))
    of, [row] = await ask_all([touched], ScriptedProvider(caption), MemoryStore(rows=[before]))
    assert row == replace(before, source_version="v2")
    assert (of.stats.reused, of.stats.cost_usd) == (1, 0), "this run paid nothing"


async def test_a_truncated_caption_is_shared_as_such() -> None:
    async def ask(each: Request) -> Answer:
        return answer(reply("A cat on a", finish_reason="length"))

    _, rows = await ask_all([request(str(n), content="same") for n in range(2)], ScriptedProvider(ask), MemoryStore())
    assert [(row.status, row.reason, row.caption) for row in rows] == [("truncated", "truncated", "A cat on a")] * 2


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECENT", 5)
    with ThreadPoolExecutor(1) as disk:
        reuse = Reuse(MemoryStore(), disk, context(), FakeClock())
        for n in range(20):
            each = request(str(n))
            assert await reuse.find(each) is None
            assert not reuse.follow(each)
            reuse.settle(each, row_of(each, answer(reply() if n % 2 else Failure("rejected:400", "No."))))
        assert len(reuse._answered) == len(reuse._alone) == 5
        assert not reuse._leaders
        assert await reuse.find(request("19"))
        assert await reuse.find(request("1")) is None
