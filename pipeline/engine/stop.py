"""How a run ends early: somebody asks for it, what was sent is finished, the rest is left for the next run."""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from pipeline.errors import RunError

log = logging.getLogger(__name__)

StopReason = Literal["interrupted", "terminated", "trouble"]


class Stop:
    """A request to stop; the first one counts."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self.error: RunError | None = None
        self.abandoned = False
        """Stop at once: do not even wait for what is in flight."""
        self._callbacks: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether nothing new may be sent."""
        return self.reason is not None

    @property
    def interrupted(self) -> bool:
        """Whether a signal asked for it."""
        return self.reason in ("interrupted", "terminated")

    def request(self, reason: StopReason) -> None:
        """Stop listing and sending; what is in flight is awaited and recorded."""
        if self.requested:
            return
        self.reason = reason
        for callback in self._callbacks:
            callback()

    def fail(self, error: RunError) -> None:
        """Trouble of the whole run; the first is the one to tell."""
        self.error = self.error or error
        self.request("trouble")

    def on_request(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the stop is requested."""
        self._callbacks.append(callback)


@contextmanager
def signals_request(stop: Stop) -> Iterator[None]:
    """First SIGINT or SIGTERM asks `stop`, the second cancels this task. Without effect outside the main thread."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def handle(reason: StopReason) -> None:
        if stop.interrupted:
            log.warning("Stopping at once; answers already received are recorded.")
            stop.abandoned = True
            task.cancel()
        else:
            log.warning("Stopping: waiting for the requests in flight (they are paid for). Once more to stop at once.")
            stop.request(reason)
            stop.reason = reason

    handled: list[signal.Signals] = []
    reasons: dict[signal.Signals, StopReason] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
    with suppress(NotImplementedError, ValueError, RuntimeError):  # not the main thread, or Windows
        for number, reason in reasons.items():
            loop.add_signal_handler(number, handle, reason)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
