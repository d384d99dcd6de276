"""The four loops together, around sources and stores in memory: nothing lost, nothing doubled, no deadlock."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from itertools import count

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.api.throttle import ThrottleClosed
from pipeline.clock import SystemClock
from pipeline.engine.asking.reuse import Reuse
from pipeline.engine.flow.channel import Channel
from pipeline.engine.live import stages
from pipeline.engine.live.stages import (
    HOP_BYTES,
    HOP_IMAGES,
    Asking,
    Line,
    ask_images,
    list_images,
    next_hop,
    prepare_images,
    record_images,
    record_rest,
    take_records,
)
from pipeline.engine.pools import on
from pipeline.engine.preparing.preparer import Listed
from pipeline.engine.record import Asked, Unprepared
from pipeline.errors import NightcapError, RunError, UserError
from pipeline.items import Answer, Failure, Record, Request, SourceImage
from tests.engine.making import (
    NO_REASK,
    MemoryStore,
    ScriptedProvider,
    answer,
    context,
    image,
    line,
    nothing_smaller,
    reply,
    request,
)
from tests.helpers.clock import FakeClock

MB = 1024 * 1024
Prepare = Callable[[Sequence[SourceImage]], list[Request | Unprepared]]
ForImage = Callable[[SourceImage], Request | Unprepared]


class ImpatientClock(SystemClock):
    """Nobody waits, but everybody else gets a turn."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Body(bytes):
    """A request body that says it is 20 MB, and is counted while somebody holds it."""

    alive = most_alive = 0

    def __init__(self, content: bytes) -> None:
        Body.alive += 1
        Body.most_alive = max(Body.alive, Body.most_alive)

    def __len__(self) -> int:
        return 20 * MB

    def __del__(self) -> None:
        Body.alive -= 1


@pytest.fixture
def _no_bodies() -> None:
    Body.alive = Body.most_alive = 0


def each(make: ForImage) -> Prepare:
    return lambda images: list(map(make, images))


def ready(found: SourceImage) -> Request:
    return request(found.key)


def all_ready(images: Sequence[SourceImage]) -> list[Request | Unprepared]:
    return list(map(ready, images))


def broken(found: SourceImage) -> Unprepared:
    return Unprepared(found, Failure("undecodable", "Broken."))


async def caption(asked: Request) -> Answer:
    await asyncio.sleep(0)
    return answer(reply(f"Of {asked.image.key}."))


def keys(number: int) -> list[str]:
    return [f"{index:04}" for index in range(number)]


@asynccontextmanager
async def running(
    of: Line,
    listing: Iterator[SourceImage],
    provider: ScriptedProvider,
    store: MemoryStore,
    *,
    prepare: Prepare = all_ready,
    preparers: int = 1,
    limit: int | None = None,
) -> AsyncIterator[None]:
    """The stages at work while the block lasts, and until they have ended."""
    with ThreadPoolExecutor(3) as pool, ThreadPoolExecutor(1) as disk:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(list_images(of, listing, store.finished_status, pool, limit))
            for _ in range(preparers):
                group.create_task(prepare_images(of, partial(on, pool, prepare)))
            reuse = Reuse(store, disk, context(), FakeClock())
            for _ in range(provider.concurrency):
                group.create_task(ask_images(of, Asking(provider, nothing_smaller, reuse, NO_REASK)))
            group.create_task(record_images(of, store, context(), disk, ImpatientClock()))
            yield


async def run(
    of: Line, names: Sequence[str], provider: ScriptedProvider, store: MemoryStore, **options: object
) -> None:
    async with running(of, iter([image(name) for name in names]), provider, store, **options):
        pass


@settings(max_examples=60)
@given(
    capacity=st.integers(1, 3),
    preparers=st.integers(1, 3),
    askers=st.integers(1, 4),
    max_bytes=st.integers(1, 400),
    limit=st.none() | st.integers(0, 45),
    kinds=st.lists(st.sampled_from(["ready", "broken", "captioned", "failed"]), max_size=40),
)
@example(capacity=1, preparers=1, askers=1, max_bytes=1, limit=1, kinds=["ready", "captioned"])
def test_one_row_for_each_image_at_any_size_of_anything(
    capacity: int, preparers: int, askers: int, max_bytes: int, limit: int | None, kinds: list[str]
) -> None:
    """A budget below one body, channels of one, one worker, no image, all broken, all finished: none of it hangs."""
    kind_of = dict(zip(keys(len(kinds)), kinds, strict=True))
    finished = {key: kind for key, kind in kind_of.items() if kind in ("captioned", "failed")}
    wanted = [key for key in kind_of if key not in finished][:limit]
    of = line(capacity=capacity, preparers=preparers, askers=askers, max_bytes=max_bytes)
    provider, store = ScriptedProvider(caption, askers), MemoryStore(finished=finished)

    def prepare(found: SourceImage) -> Request | Unprepared:
        return broken(found) if kind_of[found.key] == "broken" else request(found.key, b"." * 100)

    asyncio.run(run(of, list(kind_of), provider, store, prepare=each(prepare), preparers=preparers, limit=limit))

    assert store.keys == wanted
    assert sorted(provider.asked) == [key for key in wanted if kind_of[key] == "ready"]
    assert all((row.status == "captioned") == (kind_of[row.key] == "ready") for row in store.rows)
    assert of.in_flight.used == 0
    assert of.stats.recorded == len(wanted) == of.stats.todo
    above = len(kinds) - len(finished) - len(wanted)
    assert of.stats.not_asked == of.stats.left == above, "counted while the others had something to do"
    assert of.stats.skipped == len(finished)
    if not above:
        assert of.stats.skipped_without_caption == kinds.count("failed")
        assert of.stats.listing_done


async def test_a_hop_takes_small_images_together_and_leaves_the_rest_to_others() -> None:
    sizes = [1000] * (HOP_IMAGES + 3) + [HOP_BYTES, 10, 10, HOP_BYTES, None, 10]
    todo: Channel[Listed] = Channel("todo", 100, senders=1)
    with todo.sending():
        for size in sizes:
            await todo.put(image(size=size))
    hops = []
    while hop := await next_hop(todo):
        hops.append([found.bytes for found in hop])
    small = [1000] * HOP_IMAGES
    assert hops == [small, [1000, 1000, 1000, HOP_BYTES], [10, 10, HOP_BYTES], [None], [10]]


async def test_large_images_are_spread_over_the_workers() -> None:
    """Two workers, two large images: each takes one; a worker that took both would leave the other idle."""
    both = threading.Barrier(2, timeout=10)

    def prepare(images: Sequence[SourceImage]) -> list[Request | Unprepared]:
        both.wait()
        return [ready(found) for found in images]

    store = MemoryStore()
    listing = iter([image(name, 5 * MB) for name in "ab"])
    async with running(line(preparers=2), listing, ScriptedProvider(caption), store, prepare=prepare, preparers=2):
        pass
    assert store.keys == ["a", "b"]


class Gate:
    """A listing that stops after the first images until it is opened."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self.opened = threading.Event()

    def __iter__(self) -> Iterator[SourceImage]:
        # A whole page, or the lister would wait for the rest of it before it passes anything on.
        for name in self._names:
            yield image(name)
        self.opened.wait(20)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.usefixtures("_no_bodies")
async def test_no_body_outlives_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """All loops wait for more, and none of them holds on to what it had last."""
    monkeypatch.setattr(stages, "PAGE_IMAGES", 8)
    gate, store, of = Gate(keys(8)), MemoryStore(), line(capacity=8, preparers=2, askers=4, max_bytes=100 * MB)
    prepare = each(lambda found: request(found.key, Body(b"body")))
    provider = ScriptedProvider(caption, 4)
    async with running(of, iter(gate), provider, store, prepare=prepare, preparers=2):
        await until(lambda: len(store.rows) == 8)
        await until(lambda: of.in_flight.used == 0)
        await asyncio.sleep(0.01)
        alive = Body.alive
        gate.opened.set()
    assert alive == 0


@pytest.mark.usefixtures("_no_bodies")
async def test_bytes_in_flight_are_bounded_whatever_the_concurrency() -> None:
    """20 MB images, 64 requests at once, a budget of 256 MB: 12 of them, and what each preparing worker has in hand."""

    async def ask(request: Request) -> Answer:
        await until(lambda: of.in_flight.used == 240 * MB or of.stats.ready == 200)
        return await caption(request)

    of = line(capacity=128, preparers=2, askers=64, max_bytes=256 * MB)
    provider, store = ScriptedProvider(ask, 64), MemoryStore()
    listing = iter([image(name, 20 * MB) for name in keys(200)])
    prepare = each(lambda found: request(found.key, Body(b"body")))
    async with running(of, listing, provider, store, prepare=prepare, preparers=2):
        pass
    assert len(store.rows) == 200
    assert 12 <= Body.most_alive <= 12 + 2
    assert Body.alive == 0


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
    assert [row.key for row in take_records(of, context(), 10)] == ["0000"]
    assert of.unwritten == []
    assert of.stats.recorded == 0, "a row counts when the store has taken it"


async def test_the_last_try_counts_what_it_brings_in_and_what_is_lost() -> None:
    refused = [RunError("No space is left.")]
    for troubles, recorded in (refused * 1, 1), (refused * 2, 0):
        of, store = line(), MemoryStore(troubles=troubles)
        await run(of, keys(1), ScriptedProvider(caption), store)
        with ThreadPoolExecutor(1) as disk, nullcontext() if recorded else pytest.raises(RunError):
            await record_rest(of, store, context(), disk)
        assert (of.stats.recorded, of.stats.unrecorded, len(store.rows)) == (recorded, 1 - recorded, recorded)
        assert of.stats.left == 1 - recorded


async def test_a_write_that_nobody_waits_for_any_more_is_counted_once() -> None:
    of, may_end = line(), threading.Event()

    class SlowStore(MemoryStore):
        def append(self, records: Sequence[Record]) -> None:
            may_end.wait(10)
            super().append(records)

    store = SlowStore()
    of.done = Channel("done", 4, senders=1)
    for name in "ab":
        await of.done.put(Asked(request(name), answer(reply())))
    with ThreadPoolExecutor(1) as disk:
        recording = asyncio.ensure_future(record_images(of, store, context(), disk, ImpatientClock()))
        while of.writing is None:
            await asyncio.sleep(0)
        recording.cancel()
        await asyncio.wait([recording])
        asyncio.get_running_loop().call_later(0.01, may_end.set)
        await record_rest(of, store, context(), disk)
    assert (of.stats.recorded, store.keys, of.unwritten) == (2, ["a", "b"], [])


async def test_a_bug_cancels_all_and_comes_out_as_it_is() -> None:
    async def ask(request: Request) -> Answer:
        raise KeyError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        await run(line(), keys(50), ScriptedProvider(ask), MemoryStore())
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_answer_that_waits_for_the_recorder_survives_a_cancel() -> None:
    """It is paid for: whoever holds it while the run is cancelled leaves it in the channel."""
    of = line(capacity=1, askers=3)
    of.ready.capacity = 3
    with ThreadPoolExecutor(1) as disk:
        reuse = Reuse(MemoryStore(), disk, context(), FakeClock())
        for name in "abc":
            await of.in_flight.take(4)
            await of.ready.put(request(name))
        provider = ScriptedProvider(caption)
        asking = [
            asyncio.ensure_future(ask_images(of, Asking(provider, nothing_smaller, reuse, NO_REASK))) for _ in range(3)
        ]
        await until(lambda: of.in_flight.used == 0)
        assert len(of.done) == 1, "the others wait for room"
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
    assert sorted(row.key for row in take_records(of, context(), 10)) == ["a", "b", "c"]
    assert of.in_flight.used == 0


async def test_rows_that_come_together_share_a_commit() -> None:
    clock, store, of = FakeClock(), MemoryStore(), line(capacity=1000)
    with ThreadPoolExecutor(1) as disk:
        recording = asyncio.ensure_future(record_images(of, store, context(), disk, clock))
        for name in keys(20):
            await of.done.put(broken(image(name)))
            await asyncio.sleep(0)
        assert store.appends == 0
        await clock.advance(stages.GATHER_STEPS * stages.GATHER_STEP_SECONDS)
        await until(lambda: store.appends == 1)
        assert len(store.rows) == 20
        for name in keys(stages.COMMIT_ROWS):
            await of.done.put(broken(image(name)))
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
