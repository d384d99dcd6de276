"""When a run shall be over: reading what the user wrote, and stopping early enough."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from pipeline.clock import Clock
from pipeline.engine.stop import Stop
from pipeline.errors import UserError

log = logging.getLogger(__name__)

# The slowest hundredth of the latest answers, and a little: of 256 in flight one or two are slower than 99 in 100 are.
SLOWER = 1.2
# For the last rows and the last part.
WRITING_SECONDS = 1.0
# Before the first answer nobody knows.
UNKNOWN_LATENCY_SECONDS = 10.0
# Who is still in flight so long after the deadline is given up, although it may be on the bill.
OVERTIME_SECONDS = 60.0
LOOK_SECONDS = 5.0
LOOK_SECONDS_AT_LEAST = 0.05


def parse_deadline(text: str, now: float) -> float:
    """The moment that `text` means, in seconds since the epoch; `now` is one too.

    `06:00` or `06:00:30` is the next such time of day where this machine is; an ISO date and time without a zone is
    local too. UserError when it is neither, or has passed.
    """
    try:
        hour, _, rest = text.partition(":")
        return _next(time.fromisoformat(f"{hour:0>2}:{rest}"), now) if len(hour) <= 2 else _moment(text, now)
    except ValueError:
        raise UserError(
            f"The deadline {text!r} is no time; write 06:00 (the next one, local time) or 2026-11-22T06:00+01:00."
        ) from None


def _next(of_day: time, now: float) -> float:
    if of_day.tzinfo:
        raise ValueError("a zone without a date")
    today = datetime.fromtimestamp(now).date()  # noqa: DTZ006  local time is what is meant
    # Each day's offset is its own: the night of a clock change is an hour longer or shorter.
    moments = (datetime.combine(today + timedelta(days), of_day).timestamp() for days in (0, 1))
    return next(moment for moment in moments if moment > now)


def _moment(text: str, now: float) -> float:
    moment = datetime.fromisoformat(text).timestamp()
    if moment <= now:
        shown = datetime.fromtimestamp(now, UTC).astimezone()
        raise UserError(f"The deadline {text} has passed: it is {shown:%Y-%m-%d %H:%M} now.")
    return moment


async def watch_deadline(deadline: float, stop: Stop, slow_seconds: Callable[[], float | None], clock: Clock) -> None:
    """Stop early enough that what is in flight is answered and written by `deadline`, seconds since the epoch.

    `slow_seconds` says how long slow answers take at present. What is in flight is paid for, so it is waited for all
    the same, up to OVERTIME_SECONDS after the deadline.
    """
    while (rest := deadline - _lead(slow_seconds()) - clock.time()) > 0:
        # By the wall clock, and looked at often: a laptop may have slept, and answers may have become slower.
        await clock.sleep(min(max(rest / 2, LOOK_SECONDS_AT_LEAST), LOOK_SECONDS))
    if not stop.requested:
        log.info("The deadline is near: sending nothing new, waiting for the requests in flight.")
        stop.request("deadline")
    await clock.sleep(max(0.0, deadline + OVERTIME_SECONDS - clock.time()))
    stop.abandon(f"Requests are still in flight {OVERTIME_SECONDS:.0f} s after the deadline.")


def _lead(slow_seconds: float | None) -> float:
    return UNKNOWN_LATENCY_SECONDS if slow_seconds is None else SLOWER * slow_seconds + WRITING_SECONDS
