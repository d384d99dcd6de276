"""Looks at the control file every few seconds and hands on what has changed."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from pipeline.api.options import LimitOptions
from pipeline.clock import Clock
from pipeline.engine.control.limits_file import differences, read_limits
from pipeline.errors import NightcapError, UserError

log = logging.getLogger(__name__)

# A local look takes 30 us; in a bucket, 10,000 of them in a night cost half a cent.
LOOK_SECONDS = 3.0


async def watch_limits(
    read: Callable[[], Awaitable[bytes | None]],
    job: Mapping[str, LimitOptions],
    change: Callable[[str, LimitOptions], None],
    clock: Clock,
) -> None:
    """Call `change` with an endpoint's name and its limits when the user has changed them; never ends.

    `read` gives the file, None when there is none; `job` are the limits by endpoint that hold without it. A file that
    is wrong changes nothing and is told once.
    """
    limits, seen = dict(job), b""
    while True:
        content = await _read(read, seen)
        if content != seen:
            seen = content
            limits = _apply(content, limits, job, change)
        await clock.sleep(LOOK_SECONDS)


async def _read(read: Callable[[], Awaitable[bytes | None]], seen: bytes) -> bytes:
    try:
        return await read() or b""
    except (OSError, NightcapError) as error:  # the place is in trouble; whoever writes there will say so
        log.debug("The control file cannot be read: %s", error)
        return seen


def _apply(
    content: bytes,
    limits: dict[str, LimitOptions],
    job: Mapping[str, LimitOptions],
    change: Callable[[str, LimitOptions], None],
) -> dict[str, LimitOptions]:
    try:
        wanted = read_limits(content, job)
    except UserError as error:
        log.warning("control.toml changes nothing: %s", error)
        return limits
    for name, new in wanted.items():
        if told := ", ".join(differences(limits[name], new)):
            log.info("control.toml: %s%s", f"{name}: " if name else "", told)
            change(name, new)
    return wanted
