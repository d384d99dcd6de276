"""The threads of a run: blocking work never runs on the event loop."""

import asyncio
import math
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.engine.flow.daemon_pool import DaemonPool

T = TypeVar("T")

# What has not come back by then hangs in the system; it changes nothing any more.
LEAVE_SECONDS = 2.0

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Pools:
    """Threads by what they do; `disk` and `lister` are single, so that their owners need no lock."""

    images: Executor
    disk: Executor
    lister: Executor
    image_workers: int


@asynccontextmanager
async def open_pools() -> AsyncIterator[Pools]:
    """Threads for a run. They cannot be cancelled, so their jobs are short, and closing waits for those begun."""
    cores = usable_cores()
    with ThreadPoolExecutor(1, "disk") as disk:
        images, lister = DaemonPool(cores, "image"), DaemonPool(1, "list")
        try:
            yield Pools(images, disk, lister, cores)
        finally:
            for pool in (images, lister):
                pool.shutdown(wait=False, cancel_futures=True)
            # Joined by a thread: the loop may be somebody else's and has other things to do meanwhile.
            await on(disk, _join, images, lister)


def _join(*pools: DaemonPool) -> None:
    for pool in pools:
        pool.join(LEAVE_SECONDS)


async def on(pool: Executor, work: Callable[..., T], *arguments: object) -> T:
    """Run blocking `work` in `pool`. Cancelling the caller never cancels the work: a row taken is a row written."""
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(pool, work, *arguments))


async def alone(work: Callable[..., T], *arguments: object) -> T:
    """Run blocking `work` in a thread that nobody waits for once the caller is cancelled: it may hang."""
    pool = DaemonPool(1, "alone")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)
    finally:
        pool.shutdown(wait=False)


def usable_cores() -> int:
    """Cores that this process may use: those it may run on, or fewer where a container has a share of their time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = math.inf
    with suppress(OSError):
        share = read_cpu_max(_CPU_MAX.read_text())
    return max(1, math.ceil(min(cores, share)))


def read_cpu_max(text: str) -> float:
    """Cores' worth of time in cgroup v2's `cpu.max`: `QUOTA PERIOD` in microseconds, or `max PERIOD`."""
    quota, _, period = text.partition(" ")
    return math.inf if quota == "max" else int(quota) / int(period)
