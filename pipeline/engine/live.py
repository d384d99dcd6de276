"""The composition root of a live run: opens what is needed, runs the stages in one TaskGroup, closes everything.

Resources are opened outside the group, so that they outlive its cancelled tasks and what was received is recorded.
"""

import asyncio
import functools
import gc
import logging
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.api.attempt import Attempt
from pipeline.api.endpoint import catalogue_name
from pipeline.api.limits.budget import Budget
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.pool.members import MemberOptions
from pipeline.api.prompts import own_prompts
from pipeline.clock import Clock, utc
from pipeline.engine.asking.language import load_language_check
from pipeline.engine.asking.lint import LanguageCheck
from pipeline.engine.asking.near import NearDuplicates
from pipeline.engine.asking.reask import Reask
from pipeline.engine.asking.reuse import Reuse
from pipeline.engine.control.deadline import parse_deadline, watch_deadline
from pipeline.engine.control.watching import watch_limits
from pipeline.engine.fetching import FETCHED_BYTES, Fetcher, fetch_images
from pipeline.engine.flow.byte_budget import ByteBudget
from pipeline.engine.flow.channel import Channel
from pipeline.engine.metrics.exporting import open_telemetry
from pipeline.engine.metrics.run_metrics import RunMetrics
from pipeline.engine.plan import Plan
from pipeline.engine.pools import Pools, alone, on, open_pools
from pipeline.engine.preparing.by_url import ByUrl, remake
from pipeline.engine.preparing.preparer import Listed
from pipeline.engine.preparing.processes import Processes, open_processes
from pipeline.engine.preparing.rules import best_fit, build_preparer
from pipeline.engine.providers import Provider, open_provider
from pipeline.engine.record import RowContext
from pipeline.engine.stages import Asking, Line, ask_images, list_images, prepare_images, record_images, record_rest
from pipeline.engine.stats import Ending, Observer, RunStats, Summary
from pipeline.engine.stop import Stop, signals_interrupt
from pipeline.errors import RunError, UserError
from pipeline.items import SourceImage
from pipeline.models import Model, find_model, find_price, prompt_tokens
from pipeline.objects import without_secrets
from pipeline.sources import Source, close_source, has_remote, key_prefixes, open_source
from pipeline.store import REUSABLE, ListedKeys, Store, open_store, read_status, rows_to_retry

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from pipeline.engine.metrics.telemetry import Telemetry  # only with the extra `otel`

OBSERVE_SECONDS = 0.25
# Prepared ahead: a moment's work for the askers, whatever their number; more is only memory.
READY_IMAGES = 128
# Two commits, so that nobody waits for the disk.
DONE_IMAGES = 512

Chooser = Callable[[Iterator[SourceImage]], Iterator[SourceImage]]
"""From what is listed, each image with the prompt that is its own, to what is looked at."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What is known of a run before anything is opened."""

    id: str
    plan: Plan
    model: Model
    source: Source
    choose: Chooser
    clock: Clock
    begun: float
    """By the monotonic clock."""
    deadline: float | None
    """By the wall clock."""
    stats: RunStats
    metrics: RunMetrics
    stop: Stop
    check_language: LanguageCheck | None = None
    telemetry: "Telemetry | None" = None

    def on_attempt(self, attempt: Attempt) -> None:
        """A request has ended."""
        self.stats.add_attempt(attempt)
        self.metrics.add_attempt(attempt)
        if self.telemetry:
            self.telemetry.add_attempt(attempt)

    def summarize(self) -> Summary:
        """The run as it stands."""
        stats, stop, plan = self.stats, self.stop, self.plan
        message = str(stop.error) if stop.error else None
        price = find_price(self.model, utc(self.clock.time()).date())
        input_usd = price.base.input if price else None
        ended = self.metrics.ended or self.clock.monotonic()
        seconds = ended - self.begun
        out, ending = without_secrets(plan.out), self._ending()
        summary = Summary(self.id, out, plan.asked, seconds, stats, ending, message, input_usd, self.metrics)
        return replace(summary, trouble_exit_code=stop.error.exit_code) if stop.error else summary

    def budget_is_spent(self, budget: Budget) -> None:
        """It has no room for another request."""
        self.stats.unknown_usd = budget.unknown
        if not budget.spent and not budget.unknown:
            log.warning("max_cost has no room for a single request: raise it, or lower max_tokens.")
        self.stop.request("budget")

    def _ending(self) -> Ending | None:
        stats, stop = self.stats, self.stop
        if stop.error:
            return "trouble"
        if stop.reason in ("deadline", "budget") and stats.listing_done and not stats.left:
            return None  # it came when all was done
        return stop.reason or ("limit" if stats.not_asked else None)


async def run_live(
    plan: Plan,
    clock: Clock,
    environ: Mapping[str, str],
    observer: Observer | None = None,
    choose: Chooser = iter,
) -> Summary:
    """Caption what is listed, chosen and not finished.

    Raises UserError before anything is spent, and RunError for trouble of the whole run, with the summary once there is
    something to sum up.
    """
    model = find_model(catalogue_name(plan.model))
    best_fit(plan.model, model)(1024, 1024)  # a wrong detail or policy is told before anything begins
    deadline = parse_deadline(plan.run.deadline, clock.time()) if plan.run.deadline else None
    run = _Run(
        id=new_run_id(clock),
        plan=plan,
        model=model,
        source=await alone(open_source, plan.source),  # a list far away is looked at
        choose=choose,
        clock=clock,
        begun=clock.monotonic(),
        deadline=deadline,
        stats=RunStats(),
        metrics=RunMetrics(),
        stop=Stop(clock, plan.run.grace_seconds),
    )
    with signals_interrupt(run.stop):
        try:
            await _open_and_run(run, environ, observer)
        except RunError as error:  # the disk's trouble at the beginning or at the end
            run.stop.fail(error)
    if (trouble := run.stop.error) is None:
        return run.summarize()
    if isinstance(trouble, RunError) and run.stats.listed:
        trouble.summary = run.summarize()
    raise trouble


async def _open_and_run(run: _Run, environ: Mapping[str, str], observer: Observer | None) -> None:
    plan, model, stats = run.plan, run.model, run.stats
    async with open_pools() as pools, open_telemetry(environ, stats, run.clock, pools.disk) as telemetry:
        run = replace(run, telemetry=telemetry)
        await on(pools.images, _warm_up, plan.model, model, run.clock)
        if language := plan.run.language:
            run = replace(run, check_language=await on(pools.images, load_language_check, language))
        opening = open_provider(
            _asked_for(plan),
            model,
            pools.images,
            pools.image_workers,
            environ,
            run.clock,
            run.on_attempt,
            plan.run.max_cost,
            run.budget_is_spent,
        )
        async with opening as provider, _open_store(run, pools.disk) as store:
            run.stop.on_request(provider.stop)
            fingerprints = plan.run.near_duplicates > 0
            preparer = build_preparer(
                plan.source, plan.image, plan.model, model, provider.encode, fingerprints=fingerprints
            )
            async with open_processes(preparer, pools.image_workers, plan.run) as processes:
                with _observing(observer, stats), _frozen_heap():
                    await _run_stages(run, provider, store, pools, processes)
            run.metrics.set_limits(provider.limits_in_use())
            run.metrics.ended = run.clock.monotonic()
            await on(pools.disk, store.write_run, run.summarize().to_dict())


async def _run_stages(run: _Run, provider: Provider, store: Store, pools: Pools, processes: Processes) -> None:
    """The one TaskGroup. However it ends, what was answered is recorded."""
    plan, preparers = run.plan, processes.lanes
    retry = await on(pools.disk, rows_to_retry, plan.out, plan.run.retry) if plan.run.retry else None
    fetchers = plan.run.fetchers if has_remote(run.source) else 0
    listed: Channel[SourceImage] = Channel("listed", capacity=512, senders=1)
    todo: Channel[Listed] = Channel("todo", capacity=512, senders=fetchers or 1)
    line = Line(
        listed=listed if fetchers else todo,
        todo=todo,
        ready=Channel("ready", capacity=READY_IMAGES, senders=preparers),
        done=Channel("done", capacity=DONE_IMAGES, senders=fetchers + preparers),
        fetched=ByteBudget(FETCHED_BYTES),
        in_flight=ByteBudget(plan.run.max_bytes_in_flight),
        stats=run.stats,
        stop=run.stop,
        retry=retry,
    )
    context = RowContext(run.id, plan.request_hash, provider.respondent, plan.model.detail, run.check_language)
    by_url = ByUrl(plan.model.send == "url" and run.model.provider != "builtin")
    fetcher = Fetcher(run.source, run.stop, run.clock, random.Random(), by_url)
    reusable = [status for status in REUSABLE if status not in plan.run.retry]
    near = NearDuplicates(plan.run.near_duplicates) if plan.run.near_duplicates else None
    reuse = Reuse(store, pools.disk, context, run.clock, reusable, near)
    ask_otherwise = functools.partial(remake, processes.prepare, fetcher.fetch_again, by_url)
    reask = Reask(plan.run.reask, _raised_max_tokens(plan), run.check_language)
    asking = Asking(provider, ask_otherwise, reuse, reask, by_url)
    status_of = retry.status_of if retry else store.finished_status
    listing = own_prompts(run.source.list(), plan.model.prompt)
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
                    start(prepare_images(line, processes.prepare), name=f"prepare-{number}")
                recorder = start(record_images(line, store, context, pools.disk, run.clock), name="record")
                recorder.add_done_callback(lambda _: [task.cancel() for task in alongside])
    finally:
        try:
            await record_rest(line, store, context, pools.disk)
        finally:
            await close_source(run.source)
    if listed_keys is not None and run.stats.listing_done and not run.stop.requested:
        run.stats.pruned = await on(pools.disk, _prune, store, listed_keys)


def _prune(store: Store, listed: ListedKeys) -> int:
    if not len(listed):
        log.warning("The source lists nothing at all, so nothing is pruned: perhaps it is not there.")
        return 0
    if listed.unsure:
        log.warning("A list has rows that cannot be understood, so nothing of it is pruned; status shows them.")
    return store.prune(listed)


def _watchers(
    run: _Run, provider: Provider, employ: Callable[[], None], read_control: Callable[[], Awaitable[bytes | None]]
) -> Iterator[Coroutine[None, None, None]]:
    """What the user may still want of a run under way."""
    if run.deadline is not None:
        yield watch_deadline(run.deadline, run.stop, run.metrics.slow_seconds, run.clock)

    def change(endpoint: str, limits: LimitOptions) -> None:
        provider.set_limits(endpoint, limits)
        employ()

    if provider.limits:
        yield watch_limits(read_control, dict(provider.limits), change, run.clock)


def _asked_for(plan: Plan) -> list[MemberOptions]:
    """Who is asked for what; more of an answer where it was cut off before. `request_hash` is the job's still."""
    if "truncated" not in plan.run.retry:
        return list(plan.members)
    raised = _raised_max_tokens(plan)
    return [replace(member, model=replace(member.model, max_tokens=raised)) for member in plan.members]


def _raised_max_tokens(plan: Plan) -> int:
    return plan.run.raised_max_tokens or 2 * plan.model.max_tokens


def _warm_up(options: ModelOptions, model: Model, clock: Clock) -> None:
    """Load price list and vocabulary in a thread: 0.3 s each, which the event loop must not stand still for."""
    find_price(model, utc(clock.time()).date())
    prompt_tokens(model, options.system, options.prompt, ())


def new_run_id(clock: Clock) -> str:
    """Sorts by time; unique without asking anybody."""
    return f"{utc(clock.time()):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@asynccontextmanager
async def _open_store(run: _Run, disk: Executor) -> AsyncIterator[Store]:
    plan, opened = run.plan, ExitStack()

    def open_it() -> Store:
        return opened.enter_context(open_store(plan.out, plan.store, run.clock, run.id, plan.request_hash))

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
