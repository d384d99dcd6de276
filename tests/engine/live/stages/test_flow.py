"""Nothing lost, nothing doubled, no deadlock, and memory bounded."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.engine.flow.channel import Channel
from pipeline.engine.live import stages
from pipeline.engine.live.stages import (
    HOP_BYTES,
    HOP_IMAGES,
    next_hop,
)
from pipeline.engine.preparing.preparer import Listed, image_of
from pipeline.items import Answer, Request, SourceImage, Unprepared
from tests.engine.live.stages.staging import MB, broken, caption, each, keys, ready, run, running
from tests.engine.making import (
    MemoryStore,
    ScriptedProvider,
    image,
    line,
    request,
    until,
)


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


async def test_a_hop_has_one_video_however_small_since_it_takes_seconds() -> None:
    todo: Channel[Listed] = Channel("todo", 100, senders=1)
    with todo.sending():
        for key in ("a.jpg", "b.mp4", "c.mp4", "d.jpg"):
            await todo.put(SourceImage(key, f"file:///{key}", "1", 10))
    hops = []
    while hop := await next_hop(todo):
        hops.append([image_of(found).key for found in hop])
    assert hops == [["a.jpg", "b.mp4"], ["c.mp4"], ["d.jpg"]]


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
