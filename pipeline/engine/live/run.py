"""The composition root of a live run: opens what is needed, runs the stages in one TaskGroup, closes everything.

Resources are opened outside the group, so that they outlive its cancelled tasks and what was received is recorded.
"""

import asyncio
import gc
import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.api.endpoint import azure_version, catalogue_name
from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form
from pipeline.api.pool.members import MemberOptions
from pipeline.api.pool.taken import request_limits
from pipeline.api.retrieval.videos import open_images
from pipeline.api.structured.counting import expected_form, request_tokens
from pipeline.api.structured.reading import read_answer
from pipeline.api.structured.rungs import check_schema_is_followed
from pipeline.api.structured.shape import shape_of
from pipeline.clock import Clock, utc
from pipeline.engine.asking.language import load_language_check
from pipeline.engine.control.deadline import parse_deadline
from pipeline.engine.live.context import Chooser, LiveRun
from pipeline.engine.live.wiring import run_stages
from pipeline.engine.metrics.exporting import open_telemetry
from pipeline.engine.metrics.run_metrics import RunMetrics
from pipeline.engine.packing.joining import check_pack
from pipeline.engine.plan import Plan
from pipeline.engine.pools import Pools, alone, on, open_pools
from pipeline.engine.preparing.documents import Documents
from pipeline.engine.preparing.processes import Processes, open_processes
from pipeline.engine.preparing.rules import (
    asks_frames,
    best_fit,
    build_preparer,
    check_groups,
    check_videos,
    frames_sent,
)
from pipeline.engine.providers.opening import open_provider
from pipeline.engine.providers.provider import Provider
from pipeline.engine.raw import RawReplies
from pipeline.engine.stats import Observer, RunStats, Summary
from pipeline.engine.stop import Stop, signals_interrupt
from pipeline.errors import RunError, UserError
from pipeline.models import Model, find_model, find_price, forget_vocabularies
from pipeline.objects import without_secrets

if TYPE_CHECKING:
    from pipeline.store import Store

log = logging.getLogger(__name__)

OBSERVE_SECONDS = 0.25


async def run_live(
    plan: Plan,
    clock: Clock,
    environ: Mapping[str, str],
    observer: Observer | None = None,
    choose: Chooser = iter,
) -> Summary:
    """Caption what is listed, chosen and not finished.

    Raises UserError, nearly always before anything is spent, and RunError for trouble of the whole run; both with the
    summary once there is something to sum up.
    """
    model = find_model(catalogue_name(plan.model))
    check_schema_is_followed(plan.model.schema, model)
    check_pack(plan.members, environ)
    best_fit(plan.model, model)(1024, 1024)  # a wrong detail or policy is told before anything begins
    limits = request_limits(plan.members, environ)
    check_groups(plan.source, plan.model, limits)
    check_videos(plan.source, plan.model)
    if asks_frames(plan.source, plan.model) and (frames := frames_sent(plan.model, limits)) < plan.model.frames:
        log.warning("Of a video %d frames are sent: %s takes no more images in a request.", frames, plan.asked)
    if plan.store.keep_raw and model.provider == "builtin":
        raise UserError(f"{model} is no endpoint, so there are no replies to keep; leave out keep_raw.")
    deadline = parse_deadline(plan.run.deadline, clock.time()) if plan.run.deadline else None
    run = LiveRun(
        id=new_run_id(clock),
        plan=plan,
        model=model,
        source=await alone(open_images, plan.source, plan.model, environ),  # a list far away is looked at
        choose=choose,
        clock=clock,
        begun=clock.monotonic(),
        deadline=deadline,
        stats=RunStats(),
        metrics=RunMetrics(),
        stop=Stop(clock, plan.run.grace_seconds),
        limits=limits,
        raw=RawReplies(clock) if plan.store.keep_raw else None,
    )
    with signals_interrupt(run.stop):
        try:
            await _open_and_run(run, environ, observer)
        except RunError as error:  # the disk's trouble at the beginning or at the end
            run.stop.fail(error)
    if (trouble := run.stop.error) is None:
        return run.summarize()
    if run.stats.listed if isinstance(trouble, RunError) else run.stats.recorded:
        trouble.summary = run.summarize()
    raise trouble


async def _open_and_run(run: LiveRun, environ: Mapping[str, str], observer: Observer | None) -> None:
    plan, model, stats = run.plan, run.model, run.stats
    async with (
        open_pools() as pools,
        open_processes(pools.image_workers, plan.run) as processes,
        open_telemetry(environ, stats, run.clock, pools.disk) as telemetry,
    ):
        if not plan.model.video_index:
            await processes.start_ahead()
        run = replace(run, telemetry=telemetry)
        form = expected_form(model, azure_version(plan.model, environ))
        await on(pools.images, _warm_up, plan.model, model, form, run.clock)
        if language := plan.run.language:
            run = replace(run, check_language=await on(pools.images, load_language_check, language))
        members = _asked_for(plan)
        opening = open_provider(
            members,
            model,
            pools.images,
            pools.image_workers,
            environ,
            run.clock,
            run.on_attempt,
            plan.run.max_cost,
            run.budget_is_spent,
            run.raw.add if run.raw is not None else None,
        )
        async with opening as provider, _open_store(run, pools.disk) as store:
            run.stop.on_request(provider.stop)
            preparing = await _equip(processes, run, provider, pools, form)
            if not plan.model.enhance:  # which puts what was found into each prompt
                forget_vocabularies()  # 50 MB, for a prompt that is counted now
            with _observing(observer, stats), _frozen_heap():
                await run_stages(run, provider, store, pools, preparing)
            run.metrics.set_limits(provider.limits_in_use())
            run.metrics.ended = run.clock.monotonic()
            await on(pools.disk, store.write_run, run.summarize().to_dict())


async def _equip(
    processes: Processes, run: LiveRun, provider: Provider, pools: Pools, form: Form
) -> Processes | Documents:
    """What makes requests of images; a video of an index needs no process for that."""
    plan, model = run.plan, run.model
    if plan.model.video_index:
        return await on(pools.images, Documents, plan.model, model)
    preparer = build_preparer(
        plan.source,
        plan.image,
        plan.model,
        model,
        form,
        run.limits,
        provider.encode,
        fingerprints=plan.run.near_duplicates > 0,
    )
    processes.equip(preparer)
    return processes


def _asked_for(plan: Plan) -> list[MemberOptions]:
    """Who is asked for what; more of an answer where it was cut off before. `request_hash` is the job's still."""
    if "truncated" not in plan.run.retry:
        return list(plan.members)
    raised = plan.raised_max_tokens
    return [replace(member, model=replace(member.model, max_tokens=raised)) for member in plan.members]


def _warm_up(options: ModelOptions, model: Model, form: Form, clock: Clock) -> None:
    """Load price list, vocabulary and what checks answers in a thread: 0.1 to 0.2 s each, which the event loop must
    not stand still for.
    """
    find_price(model, utc(clock.time()).date())
    request_tokens(options, model, form, ())
    if shape := shape_of(options.schema):
        read_answer("{}", shape)


def new_run_id(clock: Clock) -> str:
    """Sorts by time; unique without asking anybody."""
    return f"{utc(clock.time()):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@asynccontextmanager
async def _open_store(run: LiveRun, disk: Executor) -> AsyncIterator["Store"]:
    plan, opened = run.plan, ExitStack()

    def open_it() -> "Store":
        from pipeline.store import open_store  # with Parquet: 0.2 s, in which the first process starts

        shape = shape_of(plan.model.schema)
        answers = shape.schema if shape else None
        return opened.enter_context(open_store(plan.out, plan.store, run.clock, run.id, plan.request_hash, answers))

    try:
        store = await on(disk, open_it)
        if not plan.run.retry:  # which asks for nothing but what is there, as it was asked for
            if store.other_requests and not plan.store.replace:
                raise UserError(await on(disk, _other_requests, plan.out, store.other_requests))
            await on(disk, store.write_job, plan.document)
        yield store
    finally:
        await on(disk, opened.close)  # after `open_it`, even when that is still going on: there is one such thread


def _other_requests(out: str, rows: int) -> str:
    from pipeline.store import read_status

    cost = read_status(out).cost_usd
    spent = f" (what is there cost ${cost:.2f})" if cost else ""
    return (
        f"{without_secrets(out)} holds {rows} rows made by another request: model, prompt, detail, max tokens or image "
        f"policy differ. --replace asks for them again{spent}; another -o keeps both."
    )


@contextmanager
def _frozen_heap() -> Iterator[None]:
    """Keep the garbage collector from walking through what stays for the whole run: libraries, vocabulary, prices.

    Measured on small images: 15 % of all CPU time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _observing(observer: Observer | None, stats: RunStats) -> Iterator[None]:
    """Show `stats` to `observer` now and then, and once at the end."""
    if observer is None:
        yield
        return
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def tick() -> None:
        nonlocal timer
        observer(stats)
        timer = loop.call_later(OBSERVE_SECONDS, tick)

    tick()
    try:
        yield
    finally:
        timer.cancel()
        observer(stats)
