"""The tqdm view of a run's counters, the only file that draws a bar. Off a terminal: a log line now and then."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.engine.stats import RunStats

if TYPE_CHECKING:
    from pipeline.api.retrieval.values import Progress

LOG_SECONDS = 30.0

log = logging.getLogger("nightcap")


@contextmanager
def open_progress(*, quiet: bool) -> Iterator[Callable[[RunStats], None] | None]:
    """An observer that draws on stderr while the block lasts; None when nothing is to be drawn."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as observer:
            yield observer
    else:
        yield _log_lines()


@contextmanager
def open_counter(unit: str) -> Iterator[Callable[[int], None]]:
    """Shows a number that grows: drawn on a terminal, elsewhere a log line now and then."""
    if not sys.stderr.isatty():
        yield _count_lines(unit)
        return
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", leave=False) as bar:

        def draw(number: int) -> None:
            bar.update(number - bar.n)

        yield draw


@contextmanager
def open_ingestion() -> Iterator[Callable[["Progress"], None]]:
    """How far an ingestion of videos is: drawn on a terminal, elsewhere a log line for each change."""
    if not sys.stderr.isatty():
        yield _ingestion_lines()
        return
    from tqdm import tqdm

    with tqdm(unit="video", dynamic_ncols=True, leave=False) as bar:

        def draw(progress: "Progress") -> None:
            bar.total = progress.videos
            bar.set_postfix_str(_ingestion_state(progress), refresh=False)
            bar.update(progress.done - bar.n)
            bar.refresh()

        yield draw


def _ingestion_lines() -> Callable[["Progress"], None]:
    last, told = time.monotonic(), -1

    def write(progress: "Progress") -> None:
        nonlocal last, told
        now = time.monotonic()
        if (progress.done != told and progress.begun == progress.videos) or now - last >= LOG_SECONDS:
            last, told = now, progress.done
            log.info("%d of %d videos are done, %s", progress.done, progress.videos, _ingestion_state(progress))

    return write


def _ingestion_state(progress: "Progress") -> str:
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{progress.begun - progress.done} under way{failed}"


def _count_lines(unit: str) -> Callable[[int], None]:
    last = time.monotonic()

    def write(number: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LOG_SECONDS:
            last = time.monotonic()
            log.info("%d %s", number, unit)

    return write


@contextmanager
def _bar() -> Iterator[Callable[[RunStats], None]]:
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    with tqdm(unit="img", dynamic_ncols=True, smoothing=0.05, leave=False) as bar, logging_redirect_tqdm():

        def draw(stats: RunStats) -> None:
            # Until the listing has ended the total is not known, and an ETA would be a lie.
            bar.total = stats.todo if stats.listing_done or stats.not_asked else None
            bar.set_postfix_str(describe(stats), refresh=False)
            bar.update(stats.recorded - bar.n)
            bar.refresh()

        yield draw


def _log_lines() -> Callable[[RunStats], None]:
    started = last = time.monotonic()

    def write(stats: RunStats) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < LOG_SECONDS:
            return
        last = now
        rate = stats.recorded / (now - started)
        left = ""
        if stats.listing_done and rate:
            left = f", {_hours_minutes((stats.todo - stats.recorded) / rate)} left"
        of = f"/{stats.todo}" if stats.listing_done else f", {stats.listed} listed so far"
        log.info("%d%s images, %.1f/s, %s%s", stats.recorded, of, rate, describe(stats), left)

    return write


def describe(stats: RunStats) -> str:
    """Tokens, dollars and troubles in a few words."""
    parts = []
    tokens = stats.prompt_tokens + stats.completion_tokens
    if tokens:
        parts.append(f"{_thousands(tokens)} tokens")
    if stats.cost_usd or tokens:
        parts.append(f"${stats.cost_usd:.2f}" if not stats.unpriced else "price unknown")
    if without := stats.recorded - stats.captioned:
        parts.append(f"{without} without caption")
    if retries := stats.retries.total():
        parts.append(f"{retries} retried")
    if stats.skipped:
        parts.append(f"{stats.skipped} done before")
    return ", ".join(parts)


def _thousands(number: int) -> str:
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.1f}{unit}"
    return str(number)


def _hours_minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
