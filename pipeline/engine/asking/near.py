"""Pictures of this run that look alike, for `--near-duplicates`: which was seen before. Pure, numpy alone.

The last 65,536 are remembered, 56 bytes each, and compared one by one (0.3 ms): near-duplicates are bursts, frames and
thumbnails, which a listing has close to each other. Those of earlier nights are not known: no column keeps how a
picture looks.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

REMEMBERED = 65_536
STRUCTURE_BYTES = 8
COLOUR_LEVELS = 16
"""The same picture, brightened by 10 of 255 levels, differs by 11; another colour of a shirt by 50 and more."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """A picture that was asked about before, and how far it is."""

    content: str
    bits: int


class NearDuplicates:
    """What pictures looked like (`images.fingerprint`), and their contents."""

    def __init__(self, most_bits: int) -> None:
        """Alike are those whose structure differs in at most `most_bits` of 63 and their colours hardly.

        Measured on photos: another quality or size 0 to 4 bits, a border of 2 % cut off 4 to 10, other pictures 22 and
        more.
        """
        self.most_bits = most_bits
        self._structures: npt.NDArray[np.uint64] = np.zeros(REMEMBERED, np.uint64)
        self._colours: npt.NDArray[np.int16] = np.zeros((REMEMBERED, 48), np.int16)
        self._contents: list[str] = []
        self._next = 0

    def add(self, fingerprint: bytes, content: str) -> None:
        """Remember a picture that is being asked about."""
        if len(self._contents) < REMEMBERED:
            self._contents.append(content)
        else:
            self._contents[self._next] = content
        self._structures[self._next], self._colours[self._next] = _split(fingerprint)
        self._next = (self._next + 1) % REMEMBERED

    def find(self, fingerprint: bytes) -> Likeness | None:
        """The nearest that is near enough."""
        structure, colours = _split(fingerprint)
        distances = np.bitwise_count(self._structures[: len(self._contents)] ^ structure)
        near = np.flatnonzero(distances <= self.most_bits)
        apart = np.abs(self._colours[near] - colours).max(axis=1, initial=0)
        near = near[apart <= COLOUR_LEVELS]
        if not len(near):
            return None
        nearest = near[distances[near].argmin()]
        return Likeness(self._contents[nearest], int(distances[nearest]))


def _split(fingerprint: bytes) -> tuple[np.uint64, npt.NDArray[np.int16]]:
    structure = np.frombuffer(fingerprint[:STRUCTURE_BYTES], np.uint64)[0]
    return structure, np.frombuffer(fingerprint[STRUCTURE_BYTES:], np.uint8).astype(np.int16)
