"""Threads that nobody has to wait for."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class DaemonPool(Executor):
    """For reading, where one system call may never return: a dead network drive, a pipe that nobody writes to.

    A ThreadPoolExecutor's threads are waited for when the process ends, however long that takes; these are not.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closed = self._dropping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}_{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._closed:
            raise RuntimeError("The pool is closed.")
        future: Future[T] = Future()
        self._jobs.put(partial(self._run, future, partial(work, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs, and begin none if `cancel_futures`."""
        self._closed, self._dropping = True, cancel_futures
        for _ in self._threads:
            self._jobs.put(None)
        if wait:
            self.join()

    def join(self, seconds: float = threading.TIMEOUT_MAX) -> None:
        """Wait, for so long at most, until all that was begun has ended."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # nothing of it stays alive while this waits for the next

    def _run(self, future: Future[T], work: Callable[[], T]) -> None:
        if self._dropping:
            future.cancel()
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
