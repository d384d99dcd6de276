"""Keys that come twice, found while listing. 8 bytes a key: 80 MB for ten million."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pipeline.errors import UserError
from pipeline.items import SourceImage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RECENT = 65_536
"""Keys in a set (about 60 bytes each) before they become a sorted array."""


def each_once(listing: Callable[[], Iterator[SourceImage]]) -> Iterator[SourceImage]:
    """What `listing` gives, as long as no key comes twice; then a UserError that names both.

    Only hashes are remembered, so a suspicion is confirmed by listing once more up to the first of the two.
    """
    seen = Seen()
    for number, image in enumerate(listing(), start=1):
        if not seen.add(image.key) and (first := _find(listing(), image.key, number)):
            other, uri = first
            raise UserError(
                f"The key {image.key!r} comes twice: image {other} of the listing ({uri}) and image {number}"
                f" ({image.uri}); remove one, or name a column of unique keys by --key-column."
            )
        yield image


def _find(listing: Iterator[SourceImage], key: str, before: int) -> tuple[int, str] | None:
    for number, image in enumerate(listing, start=1):
        if number == before:
            return None
        if image.key == key:
            return number, image.uri
    return None


class Seen:
    """Hashes of keys: the latest in a set, the others in sorted arrays, each at least twice as long as the next."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted: list[NDArray[np.int64]] = []

    def add(self, key: str) -> bool:
        """False when it, or one with the same 64 bits, was there before."""
        value = hash(key)
        if value in self._recent or any(_holds(array, value) for array in self._sorted):
            return False
        self._recent.add(value)
        if len(self._recent) == RECENT:
            self._settle()
        return True

    def _settle(self) -> None:
        import numpy as np  # 90 ms, which the processes that only read need not wait for

        arrays = [*self._sorted, np.sort(np.fromiter(self._recent, np.int64, len(self._recent)))]
        while len(arrays) > 1 and len(arrays[-2]) < 2 * len(arrays[-1]):
            arrays.append(np.sort(np.concatenate([arrays.pop(), arrays.pop()])))
        self._sorted, self._recent = arrays, set()


def _holds(array: "NDArray[np.int64]", value: int) -> bool:
    place = array.searchsorted(value)
    return bool(place < len(array) and array[place] == value)
