"""Keys that come twice, found while listing. 8 bytes a key: 80 MB for ten million."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from pipeline.errors import UserError
from pipeline.items import SourceImage

RECENT = 65_536
"""Keys in a set (about 60 bytes each) before they become a sorted array."""


def each_once(listing: Callable[[], Iterator[SourceImage]]) -> Iterator[SourceImage]:
    """What `listing` gives, as long as no key comes twice; then a UserError that names both.

    Only hashes are remembered, so a suspicion is confirmed by listing once more up to the first of the two.
    """
    seen = _Seen()
    for number, image in enumerate(listing(), start=1):
        if seen.has(image.key) and (first := _find(listing(), image.key, number)):
            other, uri = first
            raise UserError(
                f"The key {image.key!r} comes twice: image {other} of the listing ({uri}) and image {number}"
                f" ({image.uri}); remove one, or name a column of unique keys by --key-column."
            )
        seen.add(image.key)
        yield image


def _find(listing: Iterator[SourceImage], key: str, before: int) -> tuple[int, str] | None:
    for number, image in enumerate(listing, start=1):
        if number == before:
            return None
        if image.key == key:
            return number, image.uri
    return None


class _Seen:
    """Hashes of keys: the latest in a set, the others in sorted arrays, each at least twice as long as the next."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted: list[npt.NDArray[np.int64]] = []

    def has(self, key: str) -> bool:
        value = hash(key)
        if value in self._recent:
            return True
        for array in self._sorted:
            place = array.searchsorted(value)
            if place < len(array) and array[place] == value:
                return True
        return False

    def add(self, key: str) -> None:
        self._recent.add(hash(key))
        if len(self._recent) < RECENT:
            return
        arrays = [*self._sorted, np.sort(np.fromiter(self._recent, np.int64, len(self._recent)))]
        while len(arrays) > 1 and len(arrays[-2]) < 2 * len(arrays[-1]):
            arrays.append(np.sort(np.concatenate([arrays.pop(), arrays.pop()])))
        self._sorted, self._recent = arrays, set()
