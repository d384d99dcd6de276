"""Rows whose images are gone from the source, for `--prune`. Knows keys, no files.

Only a listing that came to its end says that an image is gone. What could not be looked at is not gone: a folder or an
archive that could not be listed keeps the rows below it, and a source that lists nothing at all, alone or as one of
several, is rather not there, such as a disk that is not mounted. A row of a list that cannot be understood may have
been any image's. The keys of groups do not tell where their images lie: where one cannot be looked at, none is gone.
"""

from array import array
from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.items import SourceImage
from pipeline.store.keys.finished import Mask
from pipeline.store.keys.hashes import Hashes, are_in, hash_strings, hash_text


class ListedKeys:
    """The keys of a listing, 8 bytes each, taken in while it passes."""

    def __init__(self, prefixes: Iterable[str] = ()) -> None:
        """`prefixes`: of several sources, what the keys of each begin with; ends in `/`."""
        self._hashes = array("q")
        self._unlisted: list[str] = []
        self._prefixes = frozenset(prefixes)
        self._silent = set(prefixes)
        """Of sources that have listed nothing so far."""
        self._has_groups = False
        self.unsure: set[str] = set()
        """Of sources with a row that cannot be understood; empty text: of the only one."""

    def __len__(self) -> int:
        return len(self._hashes)

    def of(self, listing: Iterable[SourceImage]) -> Iterator[SourceImage]:
        """The same images."""
        for image in listing:
            self._hashes.append(hash_text(image.key))
            if image.members:
                self._has_groups = True
            if self._silent:
                self._silent -= {_first_folder(each.key) for each in image.members or (image,)}
            if image.failure and image.failure.reason == "invalid_row":
                prefix = _first_folder(image.key)
                self.unsure.add(prefix if prefix in self._prefixes else "")
            if image.key.endswith(("/", "::")):  # stands for a folder or an archive that could not be listed
                self._unlisted.append(image.key)
            yield image

    def gone(self, keys: pa.ChunkedArray) -> Mask:
        """Which of these keys the listing did not have. A key that shares its hash with another is taken for it."""
        gone: Mask = ~are_in(hash_strings(keys), self._ordered)
        unknown = {*self._unlisted, *self._silent, *self.unsure}
        for folder in {""} if unknown and self._has_groups else unknown:
            gone &= ~pc.starts_with(keys, folder).to_numpy(zero_copy_only=False)
        return gone

    @cached_property
    def _ordered(self) -> Hashes:
        return np.sort(np.array(self._hashes, np.int64))


def _first_folder(key: str) -> str:
    return key.partition("/")[0] + "/"
