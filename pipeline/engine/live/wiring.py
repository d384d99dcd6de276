"""The stages of a live run and the channels between them, in one TaskGroup."""

import asyncio
import functools
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING

from pipeline.api.asker import Remake
from pipeline.api.options import LimitOptions
from pipeline.api.prompts import own_prompts
from pipeline.api.structured.shape import shape_of
from pipeline.engine.asking.judging import AnswerRules
from pipeline.engine.asking.reask import Reask
from pipeline.engine.asking.reuse import Reuse
from pipeline.engine.control.deadline import watch_deadline
from pipeline.engine.control.watching import watch_limits
from pipeline.engine.flow.byte_budget import ByteBudget
from pipeline.engine.flow.channel import Channel
from pipeline.engine.live.context import LiveRun
from pipeline.engine.live.fetching import FETCHED_BYTES, Fetcher, fetch_images
from pipeline.engine.live.spool import Spool
from pipeline.engine.live.stages import (
    Asking,
    Line,
    ask_images,
    list_images,
    prepare_images,
    record_images,
    record_rest,
)
from pipeline.engine.pools import Pools, on
from pipeline.engine.preparing.by_url import ByUrl, remake
from pipeline.engine.preparing.documents import Documents
from pipeline.engine.preparing.preparer import Listed
from pipeline.engine.preparing.processes import Processes
from pipeline.engine.preparing.rules import asks_frames, within_limits
from pipeline.engine.providers.provider import Provider
from pipeline.engine.record import RowContext
from pipeline.items import REUSABLE, SourceImage
from pipeline.sources import close_source, has_remote, key_prefixes

if TYPE_CHECKING:
    from pipeline.store import ListedKeys, Store

log = logging.getLogger(__name__)

# Prepared ahead: a moment's work for the askers, whatever their number; more is only memory.
READY_IMAGES = 128
# Two commits, so that nobody waits for the disk.
DONE_IMAGES = 512


async def run_stages(
    run: LiveRun, provider: Provider, store: "Store", pools: Pools, preparing: Processes | Documents
) -> None:
    """The one TaskGroup. However it ends, what was answered is recorded."""
    from pipeline.store import ListedKeys, rows_to_retry  # loaded by now, in the disk's thread

    plan, preparers = run.plan, preparing.lanes
    retry = await on(pools.disk, rows_to_retry, plan.out, plan.run.retry) if plan.run.retry else None
    fetchers = plan.run.fetchers if has_remote(run.source) else 0
    listed: Channel[SourceImage] = Channel("listed", capacity=512, senders=1)
    todo: Channel[Listed] = Channel("todo", capacity=512, senders=fetchers or 1)
    rules = AnswerRules(run.check_language, shape_of(plan.model.schema))
    context = RowContext(run.id, plan.request_hash, provider.respondent, plan.model.image_detail, rules)
    line = Line(
        listed=listed if fetchers else todo,
        todo=todo,
        ready=Channel("ready", capacity=READY_IMAGES, senders=preparers),
        done=Channel("done", capacity=DONE_IMAGES, senders=fetchers + preparers),
        fetched=ByteBudget(FETCHED_BYTES),
        # A pack is a copy of its images' bodies, which are needed again when it leaves one out.
        in_flight=ByteBudget(plan.run.max_bytes_in_flight // (2 if plan.model.pack > 1 else 1)),
        context=context,
        stats=run.stats,
        stop=run.stop,
        retry=retry,
        spool=Spool(plan.source.max_video_bytes) if asks_frames(plan.source, plan.model) else None,
        raw=run.raw,
    )
    by_url = ByUrl(plan.model.send == "url" and run.model.provider != "builtin")
    fetcher = Fetcher(run.source, run.stop, run.clock, random.Random(), by_url, line.spool)
    reusable = [status for status in REUSABLE if status not in plan.run.retry]
    near = None
    if plan.run.near_duplicates:
        from pipeline.engine.asking.near import NearDuplicates  # with numpy

        near = NearDuplicates(plan.run.near_duplicates)
    reuse = Reuse(store, pools.disk, context, run.clock, reusable, near)
    ask_otherwise: Remake = functools.partial(remake, preparing.prepare, fetcher.fetch_again, by_url)
    if isinstance(preparing, Documents):
        ask_otherwise = preparing.remake
    reask = Reask(plan.run.reask, plan.raised_max_tokens, rules, run.model)
    asking = Asking(provider, ask_otherwise, reuse, reask, by_url)
    status_of = retry.status_of if retry else store.finished_status
    listing = within_limits(own_prompts(run.source.list(), plan.model.prompt), run.limits)
    listed_keys = ListedKeys(key_prefixes(run.source)) if plan.store.prune and not retry else None
    listing = run.choose(listing if listed_keys is None else listed_keys.of(listing))
    try:
        with run.stop.abandonable():
            async with asyncio.TaskGroup() as group:
                start = group.create_task

                def employ() -> None:
                    """A task for each request that may be in flight: more of them when the user allows more."""
                    while line.askers < provider.concurrency:
                        line.done.add_sender()
                        start(ask_images(line, asking), name=f"ask-{line.askers}")
                        line.askers += 1

                employ()
                alongside = [start(list_images(line, listing, status_of, pools.lister, plan.run.limit), name="list")]
                read_control = functools.partial(on, pools.disk, store.read_control)
                alongside += map(start, _watchers(run, provider, employ, read_control))
                for number in range(fetchers):
                    start(fetch_images(line, listed, fetcher), name=f"fetch-{number}")
                for number in range(preparers):
                    start(prepare_images(line, preparing.prepare), name=f"prepare-{number}")
                recorder = start(record_images(line, store, pools.disk, run.clock), name="record")
                recorder.add_done_callback(lambda _: [task.cancel() for task in alongside])
    finally:
        try:
            await record_rest(line, store, pools.disk)
        finally:
            if line.spool:
                await on(pools.disk, line.spool.close)
            await close_source(run.source)
    if listed_keys is not None and run.stats.listing_done and not run.stop.requested:
        run.stats.pruned = await on(pools.disk, _prune, store, listed_keys)


def _prune(store: "Store", listed: "ListedKeys") -> int:
    if not len(listed):
        log.warning("The source lists nothing at all, so nothing is pruned: perhaps it is not there.")
        return 0
    if listed.unsure:
        log.warning("A list has rows that cannot be understood, so nothing of it is pruned; status shows them.")
    return store.prune(listed)


def _watchers(
    run: LiveRun, provider: Provider, employ: Callable[[], None], read_control: Callable[[], Awaitable[bytes | None]]
) -> Iterator[Coroutine[None, None, None]]:
    """What the user may still want of a run under way."""
    if run.deadline is not None:
        yield watch_deadline(run.deadline, run.stop, run.metrics.slow_seconds, run.clock)

    def change(endpoint: str, limits: LimitOptions) -> None:
        provider.set_limits(endpoint, limits)
        employ()

    if provider.limits:
        yield watch_limits(read_control, dict(provider.limits), change, run.clock)
