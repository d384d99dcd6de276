"""A bounded queue between two stages that can be closed. (Queue.shutdown comes with Python 3.13.)

A channel is opened for a number of senders and ends for its receivers when the last sender has left and it is empty.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """FIFO, `capacity` items at most, none of them None; one event loop, any number of senders and receivers."""

    def __init__(self, name: str, capacity: int, senders: int) -> None:
        self.name = name
        self.capacity = capacity
        self._senders = senders
        self._items: deque[T] = deque()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"Channel({self.name}: {len(self._items)}/{self.capacity}, {self._senders} senders)"

    def __len__(self) -> int:
        return len(self._items)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Marks one sender's life; the channel closes when the last one leaves."""
        try:
            yield
        finally:
            self.remove_sender()

    def add_sender(self) -> None:
        """One more than it was opened for."""
        self._senders += 1

    def remove_sender(self) -> None:
        self._senders -= 1
        if self._senders == 0:
            self._wake_all(self._getters)

    async def put(self, item: T) -> None:
        """Append `item`; waits while the channel is full.

        A sender that is cancelled meanwhile leaves its item above the capacity: an answer is paid for, and a run that
        is being cancelled still records what is in its channel.
        """
        try:
            while len(self._items) >= self.capacity:
                await self._wait(self._putters)
        finally:
            self._items.append(item)
            if self._getters:
                self._wake(self._getters)

    def put_back(self, items: Sequence[T]) -> None:
        """Let another receiver have what this one took, before everything else and above the capacity."""
        self._items.extendleft(reversed(items))
        if items:
            self._wake(self._getters)

    async def get(self) -> T | None:
        """The next item; waits while there is none. None: the channel has ended."""
        while not self._items:
            if not self._senders:
                return None
            await self._wait(self._getters)
        return self.get_nowait()

    async def wait(self) -> None:
        """Until there is an item or the channel has ended."""
        while not self._items and self._senders:
            await self._wait(self._getters)

    def get_nowait(self) -> T | None:
        """The next item, if there is one."""
        if not self._items:
            return None
        item = self._items.popleft()
        if self._putters:
            self._wake(self._putters)
        if self._items and self._getters:
            self._wake(self._getters)
        return item

    async def _wait(self, waiters: deque[asyncio.Future[None]]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._wake(waiters)  # pass the wake-up on, it was meant for somebody who can use it
            elif future in waiters:
                waiters.remove(future)
            raise

    @staticmethod
    def _wake(waiters: deque[asyncio.Future[None]]) -> None:
        while waiters:
            future = waiters.popleft()
            if not future.done():
                future.set_result(None)
                return

    @classmethod
    def _wake_all(cls, waiters: deque[asyncio.Future[None]]) -> None:
        while waiters:
            cls._wake(waiters)
