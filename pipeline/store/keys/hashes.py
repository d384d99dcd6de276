"""64-bit hashes of millions of rows as sorted arrays, 16 bytes a row. Knows Arrow columns, no meaning and no files.

Python's own hash of bytes (SipHash, 64 bits, seeded per process) is the fastest keyed hash at hand, 120 ns a value.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.int64]


def hash_strings(column: pa.Array | pa.ChunkedArray, salt: bytes = b"") -> Hashes:
    """The hash of every value of a string column."""
    values = column.cast(pa.binary()).to_numpy(zero_copy_only=False)
    if salt:
        values = values + salt
    return np.fromiter(map(hash, values), np.int64, len(values))


def hash_text(text: str) -> int:
    """As `hash_strings`, of one value."""
    return hash(text.encode("utf-8", "surrogatepass"))


def are_in(hashes: Hashes, ordered: Hashes) -> npt.NDArray[np.bool_]:
    """Which of `hashes` are among sorted ones. `np.isin` would sort these anew, and slowly, at every call."""
    if not len(ordered):
        return np.zeros(len(hashes), np.bool_)
    places = ordered.searchsorted(hashes)
    found: npt.NDArray[np.bool_] = ordered[np.minimum(places, len(ordered) - 1)] == hashes
    return found


class HashIndex:
    """Hashes and a number for each. One thread may extend it while another asks."""

    def __init__(self) -> None:
        self._sorted: tuple[tuple[Hashes, Hashes], ...] = ()
        """Sorted hashes with their numbers; oldest and largest first."""

    def extend(self, hashes: Hashes, numbers: Hashes) -> bool:
        """Take in newer ones, each hash's last one counts. True when one of these hashes came more than once."""
        order = np.argsort(hashes)  # four times as fast as the stable sort, which only repeated ones need
        repeated = _is_repeated(hashes[order])
        if repeated:
            order = np.argsort(hashes, kind="stable")
            order = order[_last_of_each(hashes[order])]
        arrays = [*self._sorted, (hashes[order], numbers[order])]
        # Each at least twice as long as the next, so that there are few and each row is moved seldom.
        while len(arrays) > 1 and len(arrays[-2][0]) < 2 * len(arrays[-1][0]):
            newer, older = arrays.pop(), arrays.pop()
            arrays.append(_merged(older, newer))
        self._sorted = tuple(arrays)
        return repeated

    def find(self, hash_: int) -> int | None:
        """The newest number of a hash."""
        for hashes, numbers in reversed(self._sorted):
            position = hashes.searchsorted(hash_)
            if position < len(hashes) and hashes[position] == hash_:
                return int(numbers[position])
        return None


def _merged(older: tuple[Hashes, Hashes], newer: tuple[Hashes, Hashes]) -> tuple[Hashes, Hashes]:
    hashes = np.concatenate([older[0], newer[0]])
    order = np.argsort(hashes, kind="stable")
    order = order[_last_of_each(hashes[order])]
    return hashes[order], np.concatenate([older[1], newer[1]])[order]


def _is_repeated(ordered: Hashes) -> bool:
    return bool((ordered[1:] == ordered[:-1]).any())


def _last_of_each(ordered: Hashes) -> npt.NDArray[np.bool_]:
    return np.append(ordered[1:] != ordered[:-1], True)
