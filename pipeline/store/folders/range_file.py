"""A remote file of which only some ranges are read. Knows bytes."""

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence

TAIL_BYTES = 64 * 1024
"""Fetched first: holds the footer of a part, about 25 KB."""

Range = tuple[int, int]
"""From begin to end, which is not of it."""


class RangeFile(io.RawIOBase):
    """Read-only. Reads what was fetched beforehand, and fetches what was not."""

    def __init__(self, size: int, fetch: Callable[[Sequence[Range]], Sequence[bytes]]) -> None:
        self._size = size
        self._fetch = fetch
        self._position = 0
        self._begins: list[int] = []
        self._pieces: list[bytes] = []
        if size:
            self.prefetch([(max(0, size - TAIL_BYTES), size)])

    def prefetch(self, ranges: Sequence[Range]) -> None:
        """Fetch all these ranges in one go, but for what is there."""
        missing = sorted(piece for piece in ranges if self._held(*piece) is None)
        if missing:
            held = [*zip(self._begins, self._pieces, strict=True)]
            held += zip((begin for begin, _ in missing), self._fetch(missing), strict=True)
            held.sort(key=lambda piece: (piece[0], len(piece[1])))
            self._begins, self._pieces = [begin for begin, _ in held], [data for _, data in held]

    def _held(self, begin: int, end: int) -> bytes | None:
        at = bisect_right(self._begins, begin) - 1
        if at < 0 or end > self._begins[at] + len(self._pieces[at]):
            return None
        return self._pieces[at][begin - self._begins[at] : end - self._begins[at]]

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._position)
        end = self._position + (left if size is None or size < 0 else min(size, left))
        if end == self._position:
            return b""
        data = self._held(self._position, end)
        if data is None:
            (data,) = self._fetch([(self._position, end)])
        self._position = end
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
