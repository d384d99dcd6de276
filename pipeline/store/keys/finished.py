"""Which images need not be asked again, for tens of millions of rows. Knows keys and hashes, no files.

A row is 16 bytes here: the hash of its key, and the hash of its source version with the status in its lowest bits. Two
keys that share a hash (one chance in 370,000 over 10 million) are told apart by their versions: one is asked again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.items import Record, Status
from pipeline.reasons import TRANSIENT
from pipeline.store.keys.hashes import Hashes, HashIndex, hash_strings, hash_text

T = TypeVar("T")
Mask = npt.NDArray[np.bool_]

COLUMNS = ("key", "source_version", "request_hash", "status", "reason")
"""What `FinishedKeys.load` needs of each row."""

REPEATED = ("request_hash", "status", "reason")
"""Of these, what may stay dictionary-encoded: reading takes a third less time."""

_STATUSES: Sequence[str] = get_args(Status)
_STATUS_BITS = 7
_UNFINISHED = 7
"""In place of the number of a status."""

_RECENT = 65_536
"""Rows that are kept in a dict (about 100 bytes each) before they become sorted arrays."""


class FinishedKeys:
    """Keys in the output, and whether the newest row of each is finished for one request.

    One thread may add while another asks.
    """

    def __init__(self, request_hash: str) -> None:
        self._request_hash = request_hash
        self._recent: dict[int, int] = {}
        self._settled = HashIndex()
        self.other_requests = 0
        """Loaded rows that another request made."""

    def load(self, batches: Iterable[pa.RecordBatch | pa.Table]) -> bool:
        """Take in the rows of the parts (`COLUMNS`), oldest first. True when some key has more than one row."""
        loaded = [self._hash(batch) for batch in _ahead(batches)]
        if not loaded:
            return False
        keys = np.concatenate([key for key, _ in loaded])
        versions = np.concatenate([version for _, version in loaded])
        del loaded
        return self._settled.extend(keys, versions)

    def _hash(self, batch: pa.RecordBatch | pa.Table) -> tuple[Hashes, Hashes]:
        same = pc.equal(batch["request_hash"], self._request_hash)
        self.other_requests += len(batch) - pc.sum(same, min_count=0).as_py()
        transient = pc.is_in(batch["reason"], pa.array(TRANSIENT))
        finished = pc.and_not(same, transient).to_numpy(zero_copy_only=False)
        status = pc.index_in(batch["status"], pa.array(_STATUSES)).fill_null(_UNFINISHED).to_numpy()
        versions = hash_strings(batch["source_version"]) & ~_STATUS_BITS
        return hash_strings(batch["key"]), versions | np.where(finished, status, _UNFINISHED)

    def status_of(self, key: str, version: str) -> str | None:
        """The status of the newest row of `key` when it is finished; None when the image is to be asked."""
        found = self._find(hash_text(key))
        if found is None or found & _STATUS_BITS == _UNFINISHED or (found ^ hash_text(version)) & ~_STATUS_BITS:
            return None
        return _STATUSES[found & _STATUS_BITS]

    def add(self, records: Iterable[Record]) -> bool:
        """Take in rows of this run. True when one of them replaces a row that was there before."""
        replaced = False
        for record in records:
            key = hash_text(record.key)
            replaced = replaced or self._find(key) is not None
            finished = record.reason not in TRANSIENT and record.request_hash == self._request_hash
            status = _STATUSES.index(record.status) if finished else _UNFINISHED
            self._recent[key] = hash_text(record.source_version) & ~_STATUS_BITS | status
        if len(self._recent) >= _RECENT:
            self._settle()
        return replaced

    def _find(self, key: int) -> int | None:
        """Version hash and status of the newest row with this key hash; None when there is none."""
        # First the dict, then the arrays: `_settle` fills the arrays before it empties the dict.
        found = self._recent.get(key)
        return self._settled.find(key) if found is None else found

    def _settle(self) -> None:
        """Move the dict into sorted arrays."""
        keys = np.fromiter(self._recent.keys(), np.int64, len(self._recent))
        versions = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        self._settled.extend(keys, versions)
        self._recent = {}


def _ahead(batches: Iterable[T]) -> Iterator[T]:
    """The same, each next one read while this one is hashed: a quarter of the time on two cores."""
    reading = iter(batches)
    with ThreadPoolExecutor(1, "read") as reader:
        following = reader.submit(next, reading, None)
        while (batch := following.result()) is not None:
            following = reader.submit(next, reading, None)
            yield batch


def superseded(sources: Sequence[Callable[[], pa.ChunkedArray]]) -> list[Mask]:
    """Which rows have a newer row under the same key. `sources` read the keys of parts, oldest first; a mask for each.

    8 bytes a row while it works. Only where two keys share their 64 bits a second hash is taken of them, so that two
    different keys are taken for one with a chance of 2**-128: what is dropped on this word was paid for.
    """
    if not sources:
        return []
    hashes = [hash_strings(source()) for source in sources]
    ends = np.cumsum([len(part) for part in hashes])
    keys = np.concatenate(hashes)
    del hashes
    drop = np.zeros(len(keys), np.bool_)
    ordered = np.sort(keys)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    if len(repeated):
        rows = np.flatnonzero(np.isin(keys, repeated))
        first, second = keys[rows], _second_hashes(sources, rows, ends)
        order = np.lexsort((rows, second, first))
        rows, first, second = rows[order], first[order], second[order]
        drop[rows[:-1][(first[1:] == first[:-1]) & (second[1:] == second[:-1])]] = True
    return np.split(drop, ends[:-1])


def _second_hashes(
    sources: Sequence[Callable[[], pa.ChunkedArray]], rows: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]
) -> Hashes:
    parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    starts = [0, *ends[:-1]]
    return np.concatenate(
        [
            hash_strings(source().take(part - start), salt=b"\0")
            for source, part, start in zip(sources, parts, starts, strict=True)
            if len(part)
        ]
    )
