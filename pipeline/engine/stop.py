"""How a run ends early: somebody asks for it, what was sent is finished, the rest is left for the next run."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

from pipeline.clock import Clock, Timer
from pipeline.errors import NightcapError

log = logging.getLogger(__name__)

StopReason = Literal["interrupted", "terminated", "trouble", "deadline", "budget"]

SIGNALS: dict[signal.Signals, StopReason] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stop:
    """A request to stop; the first one counts.

    Who sends SIGTERM seldom asks twice: Kubernetes kills after 30 s. So `grace_seconds` after it comes what otherwise a
    second signal brings.
    """

    def __init__(self, clock: Clock, grace_seconds: float = 25.0) -> None:
        self.reason: StopReason | None = None
        self.error: NightcapError | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._signalled = False
        self._abandoned = False
        self._waiting: asyncio.Task[object] | None = None
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._timer: Timer | None = None

    @property
    def requested(self) -> bool:
        """Whether nothing new may be sent."""
        return self.reason is not None

    def request(self, reason: StopReason) -> None:
        """Stop listing and sending; what is in flight is awaited and recorded."""
        if self.requested:
            return
        self.reason = reason
        for callback in self._callbacks:
            callback()

    def fail(self, error: NightcapError) -> None:
        """Trouble of the whole run; the first is the one to tell."""
        self.error = self.error or error
        self.request("trouble")

    def interrupt(self, reason: StopReason) -> None:
        """A signal came. The first asks to stop, the second gives up what is in flight, any further changes nothing."""
        if self._signalled:
            self.abandon()
            return
        self._signalled = True
        log.warning("Stopping: waiting for the requests in flight (they are paid for). Once more to stop at once.")
        self.request(reason)
        if reason == "terminated":
            why = f"Still in flight {self._grace_seconds:g} s after SIGTERM."
            self._timer = self._clock.call_later(self._grace_seconds, lambda: self.abandon(why))

    def abandon(self, why: str = "") -> None:
        """Give up what is in flight; what was answered is recorded. `why`: a sentence, if nobody asked for it."""
        if self._waiting and not self._abandoned:
            log.warning("%sStopping at once; answers already received are recorded.", why and f"{why} ")
            self._waiting.cancel()
        self._abandoned = True

    def on_request(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the stop is requested, at once if it was."""
        self._callbacks.append(callback)
        if self.requested:
            callback()

    @contextmanager
    def abandonable(self) -> Iterator[None]:
        """Around the wait for what is in flight: a second signal ends it early, and without an error.

        A cancellation that comes from elsewhere passes through.
        """
        task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        self._waiting = task
        try:
            if self._abandoned:  # while nothing was in flight yet
                task.cancel()
            yield
        except asyncio.CancelledError:
            if not self._abandoned or task.cancelling() > cancellations + 1:
                raise
        finally:
            self._waiting = None
            if self._timer:
                self._timer.cancel()
            if self._abandoned:
                task.uncancel()  # it was ours and is dealt with; who awaits this task must not see it


@contextmanager
def signals_interrupt(stop: Stop) -> Iterator[None]:
    """SIGINT and SIGTERM go to `stop.interrupt`. Without effect outside the main thread.

    Not `loop.add_signal_handler`, which could not give a handler back to whoever had set it before. Handlers belong to
    the process: of several runs at once the first sets them, the last gives them back, and a signal means all.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    run = (asyncio.get_running_loop(), stop)
    _runs.append(run)
    if len(_runs) == 1:
        _handlers_before.update({number: signal.signal(number, _handle) for number in SIGNALS})
    try:
        yield
    finally:
        _runs.remove(run)
        if not _runs:
            for number, handler in _handlers_before.items():
                if handler is not None:  # else it was not set from Python
                    signal.signal(number, handler)


_runs: list[tuple[asyncio.AbstractEventLoop, Stop]] = []
_handlers_before: dict[signal.Signals, Any] = {}


def _handle(number: int, frame: FrameType | None) -> None:
    for loop, stop in _runs:
        loop.call_soon_threadsafe(stop.interrupt, SIGNALS[signal.Signals(number)])
