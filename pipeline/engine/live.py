"""The composition root of a live run: opens what is needed, runs the stages in one TaskGroup, closes everything.

Resources are opened outside the group, so that they outlive its cancelled tasks and what was received is recorded.
"""

import asyncio
import functools
import gc
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack, asynccontextmanager, contextmanager

from pipeline.api.endpoint import split_name
from pipeline.api.options import ModelOptions
from pipeline.clock import Clock, utc
from pipeline.engine.byte_budget import ByteBudget
from pipeline.engine.channel import Channel
from pipeline.engine.plan import Plan
from pipeline.engine.pools import Pools, on, open_pools
from pipeline.engine.preparer import Fit, Preparer
from pipeline.engine.providers import Provider, open_provider
from pipeline.engine.record import RowContext
from pipeline.engine.stages import Line, ask_images, list_images, prepare_images, record_images, take_records
from pipeline.engine.stats import Ending, RunStats, Summary
from pipeline.engine.stop import Stop, signals_interrupt
from pipeline.errors import RunError, UserError
from pipeline.models import Model, best_dimensions, find_model, find_price, prompt_tokens
from pipeline.sources import Source, open_source
from pipeline.store import Store, open_store, read_status

OBSERVE_SECONDS = 0.25

Observer = Callable[[RunStats], None]


async def run_live(plan: Plan, clock: Clock, environ: Mapping[str, str], observer: Observer | None = None) -> Summary:
    """Caption what is listed and not finished.

    Raises UserError before anything is spent, and RunError, carrying the summary, for trouble later.
    """
    run_id = new_run_id(clock)
    model = find_model(catalogue_name(plan.model))
    _fit(plan.model, model)(1024, 1024)  # a wrong detail or policy is told before anything begins
    source = open_source(plan.source)
    stats, stop = RunStats(), Stop()
    begun = clock.monotonic()

    def summarize() -> Summary:
        ending: Ending | None = "trouble" if stop.error else stop.reason or ("limit" if stats.limit_reached else None)
        message = str(stop.error) if stop.error else None
        price = find_price(model, utc(clock.time()).date())
        input_usd = price.base.input if price else None
        seconds = clock.monotonic() - begun
        return Summary(run_id, plan.out, plan.model.name, seconds, stats, ending, message, input_usd)

    with signals_interrupt(stop):
        async with open_pools() as pools:
            await on(pools.images, _warm_up, plan.model, model, clock)
            opening = open_provider(
                plan.model, plan.limits, model, pools.images, pools.image_workers, environ, clock, stats.add_retry
            )
            try:
                async with opening as provider, _open_store(plan, run_id, clock, pools.disk) as store:
                    stop.on_request(provider.stop)
                    with _observing(observer, stats), _frozen_heap():
                        await _run_stages(plan, run_id, model, source, provider, store, pools, stats, stop, clock)
                    await on(pools.disk, store.write_run, summarize().to_dict())
            except RunError as error:  # the disk's trouble at the beginning or at the end
                stop.fail(error)
    if stop.error:
        if isinstance(stop.error, RunError):
            stop.error.summary = summarize()
        raise stop.error
    return summarize()


async def _run_stages(
    plan: Plan,
    run_id: str,
    model: Model,
    source: Source,
    provider: Provider,
    store: Store,
    pools: Pools,
    stats: RunStats,
    stop: Stop,
    clock: Clock,
) -> None:
    """The one TaskGroup. However it ends, what was answered is recorded."""
    askers, preparers = provider.concurrency, pools.image_workers
    line = Line(
        todo=Channel("todo", capacity=512, senders=1),
        ready=Channel("ready", capacity=max(2 * askers, 64), senders=preparers),
        done=Channel("done", capacity=max(4 * askers, 256), senders=preparers + askers),
        in_flight=ByteBudget(plan.run.max_bytes_in_flight),
        stats=stats,
        stop=stop,
    )
    context = row_context(plan, run_id, model, provider)
    preparer = build_preparer(plan, model, source, provider)
    try:
        with stop.abandonable():
            async with asyncio.TaskGroup() as group:
                start = group.create_task
                start(list_images(line, source.list(), store, pools.lister, plan.run.limit), name="list")
                for number in range(preparers):
                    start(prepare_images(line, preparer, pools.images), name=f"prepare-{number}")
                for number in range(askers):
                    start(ask_images(line, provider), name=f"ask-{number}")
                start(record_images(line, store, context, pools.disk, clock), name="record")
    finally:
        if records := take_records(line, context, len(line.done)):
            await on(pools.disk, store.append, records)


def catalogue_name(options: ModelOptions) -> str:
    """The name under which the catalogue knows the model: behind an Azure deployment, the one that the user told us."""
    return f"azure:{options.azure_model}" if options.azure_model else options.name


def row_context(plan: Plan, run_id: str, model: Model, provider: Provider) -> RowContext:
    """What all rows share."""
    asked = plan.model.azure_model or split_name(plan.model.name)[1]
    price_on = functools.lru_cache(maxsize=4)(functools.partial(find_price, model))
    return RowContext(run_id, plan.request_hash, provider.name, asked, provider.deployment, plan.model.detail, price_on)


def build_preparer(plan: Plan, model: Model, source: Source, provider: Provider) -> Preparer:
    """The worker's function, with the model's rules bound to it."""
    options = plan.model
    return Preparer(
        source,
        plan.image,
        _fit(options, model),
        provider.encode,
        functools.partial(model.image_tokens, detail=options.detail),
        lambda tokens: prompt_tokens(model, options.system, options.prompt, (tokens,)),
    )


def _fit(options: ModelOptions, model: Model) -> Fit:
    return functools.partial(
        best_dimensions, model, detail=options.detail, policy=options.image_policy, max_shrink=options.max_shrink
    )


def _warm_up(options: ModelOptions, model: Model, clock: Clock) -> None:
    """Load price list and vocabulary in a thread: 0.3 s each, which the event loop must not stand still for."""
    find_price(model, utc(clock.time()).date())
    prompt_tokens(model, options.system, options.prompt, ())


def new_run_id(clock: Clock) -> str:
    """Sorts by time; unique without asking anybody."""
    return f"{utc(clock.time()):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@asynccontextmanager
async def _open_store(plan: Plan, run_id: str, clock: Clock, disk: Executor) -> AsyncIterator[Store]:
    opened = ExitStack()

    def open_it() -> Store:
        return opened.enter_context(open_store(plan.out, plan.store, clock, run_id, plan.request_hash))

    try:
        store = await on(disk, open_it)
        if store.other_requests and not plan.store.replace:
            raise UserError(await on(disk, _other_requests, plan.out, store.other_requests))
        await on(disk, store.write_job, plan.document)
        yield store
    finally:
        await on(disk, opened.close)  # after `open_it`, even when that is still going on: there is one such thread


def _other_requests(out: str, rows: int) -> str:
    cost = read_status(out).cost_usd
    spent = f" (what is there cost ${cost:.2f})" if cost else ""
    return (
        f"{out} holds {rows} rows made by another request: model, prompt, detail, max tokens or image policy differ. "
        f"--replace asks for them again{spent}; another -o keeps both."
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
