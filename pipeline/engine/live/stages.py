"""The four loops of a run: list, prepare, ask, record. They move things; every rule lives in the room it belongs to.

No loop keeps a request once it has passed it on: a task that waits for its next image would keep the last one's bytes
alive, and nobody counts those.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.api.asker import Remake
from pipeline.api.throttle import ThrottleClosed
from pipeline.clock import Clock
from pipeline.engine.asking.reask import Reask, is_left_out
from pipeline.engine.asking.reuse import Reuse
from pipeline.engine.flow.byte_budget import ByteBudget
from pipeline.engine.flow.channel import Channel
from pipeline.engine.live.spool import Spool
from pipeline.engine.preparing.by_url import ByUrl
from pipeline.engine.preparing.preparer import Fetched, Listed, image_of
from pipeline.engine.providers.provider import Provider
from pipeline.engine.raw import RawReplies
from pipeline.engine.record import Asked, RowContext, is_reused, to_record
from pipeline.engine.stats import RunStats
from pipeline.engine.stop import Stop
from pipeline.errors import NightcapError, RunError
from pipeline.items import Answer, Record, Reply, Request, SourceImage, Unprepared
from pipeline.sources import has_video_suffix

if TYPE_CHECKING:
    from pipeline.store import RowsToRetry, Store

PAGE_IMAGES = 256
# Small images share a hop, which wakes two processes and costs the event loop 150 us: measured with 100 KB each, 9 %
# more requests a second than with hops of 16 images and 1 MB; larger ones add nothing, and make idle workers wait.
HOP_IMAGES = 32
HOP_BYTES = 2_500_000
# A durable commit costs the same 1 to 3 ms for one row as for 256, so rows wait up to 50 ms for each other. Asked in
# two steps: a full channel must not wait for long, or 256 rows in 50 ms would be the most that a run can write. More
# steps would wake the loop more often than anything else does.
COMMIT_ROWS = 256
GATHER_STEPS = 2
GATHER_STEP_SECONDS = 0.025
# Without rows the store is called now and then, so that its lock stays alive and waiting rows become a part in time.
IDLE_SECONDS = 10.0

Prepare = Callable[[Sequence[Listed]], Awaitable[list[Request | Unprepared]]]


StatusOf = Callable[[SourceImage], str | None]
"""The status of an image's row; None when it is to be asked."""


@dataclass(slots=True)
class Line:
    """The channels between the stages, the shared counters and the request to stop."""

    listed: Channel[SourceImage] | Channel[Listed]
    """From the lister: to the fetchers, or where nothing is remote, the preparers' own `todo`."""
    todo: Channel[Listed]
    ready: Channel[Request]
    done: Channel[Record]
    fetched: ByteBudget
    """Files fetched and not prepared yet."""
    in_flight: ByteBudget
    context: RowContext
    stats: RunStats
    stop: Stop
    askers: int = 0
    """As many as requests were ever allowed to be in flight."""
    retry: "RowsToRetry | None" = None
    """When these alone are asked again."""
    spool: Spool | None = None
    """Where videos are asked about: those that were fetched to the disk."""
    raw: RawReplies | None = None
    """Replies as they came, where they are kept."""
    unwritten: list[Record] = field(default_factory=list)
    """Rows that the disk refused; they are tried again with the next ones, and at the end."""
    writing: asyncio.Future[None] | None = None
    """The last write, which goes on when its task is cancelled."""


async def list_images(
    line: Line, listing: Iterator[SourceImage], status_of: StatusOf, lister: Executor, limit: int | None
) -> None:
    """Put every image that is not finished on `listed`, in the order of the listing.

    When the run has its limit, or is stopped, the rest is counted for as long as the others still have something to do.
    """
    loop = asyncio.get_running_loop()
    stats = line.stats
    with ExitStack() as sending:
        sending.enter_context(line.listed.sending())
        line.stop.on_request(sending.close)  # at once: a listing may hang
        try:
            while not stats.listing_done:
                page = await loop.run_in_executor(lister, _next_page, listing, status_of)
                for image, status in page:
                    asked = status is None and stats.todo != limit and not line.stop.requested
                    stats.listed += 1
                    if status is not None:
                        stats.skipped += 1
                        stats.skipped_without_caption += status != "captioned"
                    elif asked:
                        await line.listed.put(image)
                    else:
                        stats.not_asked += 1
                        sending.close()
                stats.listing_done = len(page) < PAGE_IMAGES
        except NightcapError as error:
            if not stats.not_asked:  # else it only means that nobody knows how many are left
                line.stop.fail(error)


def _next_page(listing: Iterator[SourceImage], status_of: StatusOf) -> list[tuple[SourceImage, str | None]]:
    return [(image, status_of(image)) for image in itertools.islice(listing, PAGE_IMAGES)]


async def prepare_images(line: Line, prepare: Prepare) -> None:
    """Make images ready; those that cannot be go straight to `done`."""
    with line.ready.sending(), line.done.sending():
        while hop := await next_hop(line.todo):
            fetched = sum(item.size for item in hop if isinstance(item, Fetched))
            results: list[Request | Unprepared] = []
            try:
                if not line.stop.requested:  # else drain, so that the lister never waits for room
                    results = await prepare(hop)
            except RunError as error:
                line.stop.fail(error)
            for item in hop:
                if line.spool and isinstance(item, Fetched) and item.path:
                    await line.spool.release(item.path)
            hop.clear()
            line.fetched.give_back(fetched)
            results.reverse()
            while results:
                await _pass_on(line, results.pop())


async def next_hop(todo: Channel[Listed]) -> list[Listed]:
    """Images for one hop: small ones together, up to about HOP_BYTES as listed. Empty: the channel has ended.

    No more than that is taken from the channel: an image in one worker's hands is not there for an idle one.
    """
    hop: list[Listed] = []
    total = 0
    item = await todo.get()
    while item is not None:
        hop.append(item)
        total += _listed_bytes(item)
        item = todo.get_nowait() if total < HOP_BYTES and len(hop) < HOP_IMAGES else None
    return hop


def _listed_bytes(item: Listed) -> int:
    """An image whose size nobody knows may be large; a video takes seconds, whatever its size."""
    image = image_of(item)
    if has_video_suffix(image.key):
        return HOP_BYTES
    size = item.size if isinstance(item, Fetched) else image.bytes
    return HOP_BYTES if size is None else size


async def _pass_on(line: Line, result: Request | Unprepared) -> None:
    if isinstance(result, Unprepared):
        await line.done.put(to_record(result, line.context))
    else:
        await line.in_flight.take(len(result.body))
        line.stats.ready += 1
        await line.ready.put(result)


@dataclass(frozen=True, slots=True)
class Asking:
    """What the asking tasks share."""

    provider: Provider
    remake: Remake
    reuse: Reuse
    reask: Reask
    by_url: ByUrl = field(default_factory=lambda: ByUrl(False))


async def ask_images(line: Line, asking: Asking) -> None:
    """Ask one image at a time; as many of these loops run as requests may be in flight."""
    with line.done.sending():
        while (request := await line.ready.get()) is not None:
            await _settle(line, asking, request)
            del request


async def _settle(line: Line, asking: Asking, request: Request) -> None:
    """Ends in a row; or, when the run stops before the request left, in nothing: it waits for the next run.

    An image whose content is being asked at this moment is left to who asks it.
    """
    reuse = asking.reuse
    try:
        reused = await reuse.find(request)
    except RunError as error:
        line.stop.fail(error)
        reused = None
    if reused:
        await _done(line, request, reused)
    elif reuse.follow(request):
        line.ready.add_sender()  # it may come back, and then all askers are needed
    else:
        row = await _ask(line, asking, request)
        caption, followers = reuse.settle(request, row)
        if caption is None:
            line.ready.put_back(followers)
        await _done(line, request, row)
        for follower in followers:
            if caption:
                await _done(line, follower, reuse.copy(follower, caption))
            line.ready.remove_sender()


async def _ask(line: Line, asking: Asking, request: Request) -> Record | None:
    answer = await _answer(line, asking, request)
    if answer is None:
        return None
    asked = Asked(answer.remade or request, answer)
    if asked.request.by_url and isinstance(answer.outcome, Reply):
        asking.by_url.worked()
    # A row at once: it needs no body, and rows wait for each other longer than requests do.
    row = to_record(asked, line.context)
    return row if row.reason is None else await _ask_again(line, asking, request, asked, row)


async def _ask_again(line: Line, asking: Asking, request: Request, asked: Asked, row: Record) -> Record:
    """The row in the end, of an image whose first answer is not a whole caption."""
    answer = asked.answer
    again = asking.reask.again(request, answer)
    while again:
        try:
            second = await _answer(line, asking, again)
        except asyncio.CancelledError:
            line.done.put_back([row])  # it is paid for, and recorded when the run ends
            raise
        if second is None:
            break
        asked = asking.reask.both(request, again, replace(answer, remade=asked.request), second)
        row = to_record(asked, line.context)
        # Only what a pack left out has not been asked by itself yet.
        again = asking.reask.again(again, second) if is_left_out(answer) else None
        answer = asked.answer
    return row


async def _answer(line: Line, asking: Asking, request: Request) -> Answer | None:
    try:
        answer = None if line.stop.requested else await asking.provider.ask(request, asking.remake)
    except ThrottleClosed:
        return None
    except NightcapError as error:
        line.stop.fail(error)
        return None
    if answer and answer.trouble:
        line.stop.fail(RunError(answer.trouble))
    return answer


async def _done(line: Line, request: Request, row: Record | None) -> None:
    line.in_flight.give_back(len(request.body))
    if row:
        await line.done.put(row)


async def record_images(line: Line, store: "Store", disk: Executor, clock: Clock) -> None:
    """Write rows durably, all that came within a moment with one commit.

    A disk that refuses stops the run, but not the recorder: what is in flight is paid for, and tried all the same.
    """
    while await _something_to_do(line.done, clock):
        records = take_records(line, COMMIT_ROWS)
        try:
            await _append(line, store, disk, records)
        except RunError as error:
            line.stop.fail(error)


async def record_rest(line: Line, store: "Store", disk: Executor) -> None:
    """Write what is answered and not yet written, when the other stages have ended, in whatever way."""
    try:
        if line.writing:
            await asyncio.wait([line.writing])
        if (records := take_records(line, len(line.done))) or line.raw:
            await _append(line, store, disk, records)
    finally:
        asked = (record for record in line.unwritten if record.attempts and not is_reused(record, line.context))
        line.stats.set_unrecorded(list(asked))


async def _append(line: Line, store: "Store", disk: Executor, records: list[Record]) -> None:
    """A row counts when the store has taken it, also if nobody waits for that any more."""
    raw = line.raw.take() if line.raw is not None else b""

    def count(written: asyncio.Future[None]) -> None:
        if written.exception():
            line.unwritten = records
            if line.raw is not None:
                line.raw.put_back(raw)
        else:
            for record in records:
                line.stats.add_record(record, reused=is_reused(record, line.context))

    line.writing = asyncio.get_running_loop().run_in_executor(disk, store.append, records, raw)
    line.writing.add_done_callback(count)
    await asyncio.shield(line.writing)


async def _something_to_do(done: Channel[Record], clock: Clock) -> bool:
    """Wait for rows, or until the store wants to be called without any; False when the channel has ended."""
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            await done.wait()
    except TimeoutError:
        return True
    for _ in range(GATHER_STEPS):
        if not 0 < len(done) < COMMIT_ROWS:
            break
        await clock.sleep(GATHER_STEP_SECONDS)
    return len(done) > 0


def take_records(line: Line, at_most: int) -> list[Record]:
    """What is done, and the rows that are still unwritten.

    A cut-off caption that was asked for again in vain stays: it was paid for.
    """
    records, line.unwritten = line.unwritten, []
    for _ in range(at_most):
        record = line.done.get_nowait()
        if record is None:
            break
        if record.caption or not line.retry or not line.retry.has_caption(record.key):
            records.append(record)
        else:
            line.stats.add_record(record, reused=is_reused(record, line.context))
    return records
