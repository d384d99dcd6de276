"""Rows whose images are gone from the source, for `--prune`. Knows keys, no files.

Only a listing that came to its end says that an image is gone. What could not be looked at is not gone: a folder or an
archive that could not be listed keeps the rows below it, and a source that lists nothing at all is rather not there,
such as a disk that is not mounted.
"""

from array import array
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.items import SourceImage
from pipeline.store.keys.finished import Mask
from pipeline.store.keys.hashes import hash_strings, hash_text


class ListedKeys:
    """The keys of a listing, 8 bytes each, taken in while it passes."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._unlisted: list[str] = []

    def __len__(self) -> int:
        return len(self._hashes)

    def of(self, listing: Iterable[SourceImage]) -> Iterator[SourceImage]:
        """The same images."""
        for image in listing:
            self._hashes.append(hash_text(image.key))
            if image.key.endswith(("/", "::")):  # stands for a folder or an archive that could not be listed
                self._unlisted.append(image.key)
            yield image

    def gone(self, keys: pa.ChunkedArray) -> Mask:
        """Which of these keys the listing did not have. A key that shares its hash with another is taken for it."""
        gone: Mask = ~np.isin(hash_strings(keys), np.frombuffer(self._hashes, np.int64))
        for folder in self._unlisted:
            gone &= ~pc.starts_with(keys, folder).to_numpy(zero_copy_only=False)
        return gone
