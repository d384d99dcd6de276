"""The four loops together, around sources and stores in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from pipeline.clock import SystemClock
from pipeline.engine.live.stages import (
    Line,
    ask_images,
    list_images,
    prepare_images,
    record_images,
)
from pipeline.engine.pools import on
from pipeline.items import Answer, Failure, Request, SourceImage, Unprepared
from tests.engine.making import (
    MemoryStore,
    ScriptedProvider,
    answer,
    asking,
    image,
    reply,
    request,
)

MB = 1024 * 1024
Prepare = Callable[[Sequence[SourceImage]], list[Request | Unprepared]]
ForImage = Callable[[SourceImage], Request | Unprepared]


class ImpatientClock(SystemClock):
    """Nobody waits, but everybody else gets a turn."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


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
            shared = asking(provider, disk, store)
            for _ in range(provider.concurrency):
                group.create_task(ask_images(of, shared))
            group.create_task(record_images(of, store, disk, ImpatientClock()))
            yield


async def run(
    of: Line, names: Sequence[str], provider: ScriptedProvider, store: MemoryStore, **options: object
) -> None:
    async with running(of, iter([image(name) for name in names]), provider, store, **options):
        pass
