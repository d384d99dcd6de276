"""Back-pressure that counts bytes."""

import asyncio
from collections import deque


class ByteBudget:
    """Bytes that may be in flight at once, from the moment an image is ready until its answer is in.

    Counting items alone would let 64 images of 20 MB fill the memory. An item above the whole budget passes alone.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __repr__(self) -> str:
        return f"ByteBudget({self.used}/{self.limit}, {len(self._line)} waiting)"

    async def take(self, size: int) -> None:
        """Wait, first come first served, until `size` bytes fit."""
        if not self._line and self._fits(size):
            self.used += size
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (size, future)
        self._line.append(place)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.give_back(size)
            elif place in self._line:
                self._line.remove(place)
            raise

    def give_back(self, size: int) -> None:
        self.used -= size
        while self._line and self._fits(self._line[0][0]):
            next_size, future = self._line.popleft()
            if not future.done():
                self.used += next_size
                future.set_result(None)

    def _fits(self, size: int) -> bool:
        return self.used + size <= self.limit or self.used == 0
