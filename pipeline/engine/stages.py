"""The four loops of a run: list, prepare, ask, record. They move things; every rule lives in the room it belongs to."""

import asyncio
import itertools
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from pipeline.api.throttle import ThrottleClosed
from pipeline.clock import Clock
from pipeline.engine.byte_budget import ByteBudget
from pipeline.engine.channel import Channel
from pipeline.engine.preparer import Preparer
from pipeline.engine.providers import Provider
from pipeline.engine.record import Asked, RowContext, Unprepared, to_record
from pipeline.engine.stats import RunStats
from pipeline.engine.stop import Stop
from pipeline.errors import RunError
from pipeline.items import Record, Request, SourceImage
from pipeline.store import Store

log = logging.getLogger(__name__)

PAGE_IMAGES = 256
# Small images share a thread hop: measured 60 us for a hop, 130 us to read, hash and splice 90 KB.
HOP_IMAGES = 16
HOP_BYTES = 1024 * 1024
# A durable commit costs the same 1 to 3 ms for one row as for 256, so rows wait a moment for each other.
COMMIT_ROWS = 256
GATHER_SECONDS = 0.05
# Without rows the store is called now and then, so that its lock stays alive and waiting rows become a part in time.
IDLE_SECONDS = 10.0

Outcome = Asked | Unprepared


@dataclass(slots=True)
class Line:
    """The channels between the stages, the shared counters and the request to stop."""

    todo: Channel[SourceImage]
    ready: Channel[Request]
    done: Channel[Outcome]
    in_flight: ByteBudget
    stats: RunStats
    stop: Stop


async def list_images(
    line: Line, listing: Iterator[SourceImage], store: Store, lister: Executor, limit: int | None
) -> None:
    """Put every image that is not finished on `todo`, in the order of the listing."""
    loop = asyncio.get_running_loop()
    stats = line.stats
    with line.todo.sending():
        while page := await loop.run_in_executor(lister, _next_page, listing, store):
            for image, status in page:
                if line.stop.requested:
                    return
                if status is None and stats.todo == limit:
                    stats.limit_reached = True
                    return
                stats.listed += 1
                if status is None:
                    await line.todo.put(image)
                else:
                    stats.skipped += 1
                    stats.skipped_without_caption += status != "captioned"
        stats.listing_done = True


def _next_page(listing: Iterator[SourceImage], store: Store) -> list[tuple[SourceImage, str | None]]:
    return [(image, store.finished_status(image)) for image in itertools.islice(listing, PAGE_IMAGES)]


async def prepare_images(line: Line, preparer: Preparer, workers: Executor) -> None:
    """Make images ready in a worker thread; those that cannot be go straight to `done`."""
    loop = asyncio.get_running_loop()
    with line.ready.sending(), line.done.sending():
        while images := await line.todo.get(HOP_IMAGES):
            for hop in hops(images):
                if line.stop.requested:
                    continue  # drain, so that the lister never waits for room
                for result in await loop.run_in_executor(workers, preparer, hop):
                    if isinstance(result, Unprepared):
                        await line.done.put(result)
                    else:
                        await line.in_flight.take(len(result.body))
                        line.stats.ready += 1
                        await line.ready.put(result)


def hops(images: Sequence[SourceImage]) -> Iterator[list[SourceImage]]:
    """Cut into groups of HOP_BYTES by listed size; an image of unknown size goes alone."""
    group: list[SourceImage] = []
    total = 0
    for image in images:
        size = HOP_BYTES if image.bytes is None else image.bytes
        if group and total + size > HOP_BYTES:
            yield group
            group, total = [], 0
        group.append(image)
        total += size
    if group:
        yield group


async def ask_images(line: Line, provider: Provider) -> None:
    """Ask one image at a time; as many of these loops run as requests may be in flight."""
    with line.done.sending():
        while requests := await line.ready.get():
            request = requests[0]
            if line.stop.requested:
                line.in_flight.give_back(len(request.body))
                continue
            try:
                answer = await provider.ask(request)
            except ThrottleClosed:
                line.in_flight.give_back(len(request.body))
            except RunError as error:
                line.in_flight.give_back(len(request.body))
                line.stop.fail(error)
            else:
                await line.done.put(Asked(request, answer))


async def record_images(line: Line, store: Store, context: RowContext, disk: Executor, clock: Clock) -> None:
    """Write rows durably, all that came within a moment with one commit."""
    loop = asyncio.get_running_loop()

    async def append(records: Sequence[Record]) -> None:
        # Shielded: a cancelled run must not drop rows that were taken off the channel but not yet begun to be written.
        await asyncio.shield(loop.run_in_executor(disk, store.append, records))

    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await line.done.wait()
        except TimeoutError:
            await append([])
            continue
        if len(line.done) < COMMIT_ROWS:
            await clock.sleep(GATHER_SECONDS)
        outcomes = line.done.get_nowait(COMMIT_ROWS)
        if not outcomes:
            return
        await append(account(line, outcomes, context))


def account(line: Line, outcomes: Sequence[Outcome], context: RowContext) -> list[Record]:
    """Rows for outcomes; counts them and gives their bytes back."""
    records = [to_record(outcome, context) for outcome in outcomes]
    for outcome, record in zip(outcomes, records, strict=True):
        line.stats.add_record(record)
        if isinstance(outcome, Asked):
            line.stats.original_bytes += outcome.request.original_bytes
            line.stats.sent_bytes += outcome.request.sent.bytes
            line.in_flight.give_back(len(outcome.request.body))
    return records
