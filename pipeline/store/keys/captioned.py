"""Which content has a caption already, and that caption: an image under a new name need not be paid for again.

16 bytes a row stay in memory: 64 bits of the content hash, and where the row is. The row itself is read when it is
wanted, a row group at a time, and a few of these are kept: images that were moved together are found together, because
a part holds neighbours of a listing, sorted by key. That takes about 1 ms an image; to know of 10 million rows takes
6 s and 160 MB, once there is something to ask.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.items import REUSABLE, Record, own_prompt_of
from pipeline.store.folders.folder import Folder
from pipeline.store.journal import Journal
from pipeline.store.keys.hashes import Hashes, HashIndex
from pipeline.store.parts import read_part, read_row_group
from pipeline.store.schema import RowSchema, row_to_record

COLUMNS = ("content_hash", "request_hash", "status")
"""What `add_part` needs of each row."""

_HEX_DIGITS = 16
_ROW_GROUPS = 4
"""Kept decoded, about 10 MB each."""


@dataclass(frozen=True, slots=True)
class _Group:
    part: str
    number: int
    first_row: int


class CaptionedContent:
    """The captions of one output for one request, by content.

    `may_have` is for any thread; everything else belongs to the one that writes the output.
    """

    def __init__(self, folder: Folder, journal: Journal, request_hash: str, rows: RowSchema) -> None:
        self._folder = folder
        self._journal = journal
        self._request_hash = request_hash
        self._row_schema = rows
        self._in_parts = HashIndex()
        """To the number of the row, over all groups."""
        self._in_journal: dict[int, int] = {}
        """To the journal's group."""
        self._groups: list[_Group] = []
        self._rows = 0
        self._read = lru_cache(_ROW_GROUPS)(self._read_group)

    def load(self, parts: Iterable[str]) -> None:
        """Take in these parts, but for those that it knows."""
        known = {group.part for group in self._groups}
        found = [places for part in parts if part not in known for places in self._places(part)]
        if found:
            self._in_parts.extend(*map(np.concatenate, zip(*found, strict=True)))

    def add(self, records: Sequence[Record], group: int) -> None:
        """Take in rows that were committed to the journal."""
        for record in records:
            if record.content_hash and record.status in REUSABLE and record.request_hash == self._request_hash:
                self._in_journal[_number(record.content_hash)] = group

    def add_part(self, part: str) -> None:
        """What was in the journal lies in this part now."""
        self._in_journal = {}
        self.load([part])

    def may_have(self, content_hash: str) -> bool:
        """Whether it is worth asking `find`."""
        number = _number(content_hash)
        return number in self._in_journal or self._in_parts.find(number) is not None

    def find(self, content_hash: str, own_prompt: str = "") -> Record | None:
        """A row with a caption of this content that was asked for with this prompt of its own; None: there is none.

        Of a content that was asked about with several prompts the newest row alone is known.
        """
        number = _number(content_hash)
        group = self._in_journal.get(number)
        if group is not None:
            return self._first(self._journal.group(group), content_hash, own_prompt)
        row = self._in_parts.find(number)
        if row is None:
            return None
        place = self._groups[bisect_right(self._groups, row, key=lambda group: group.first_row) - 1]
        return self._first(self._read(place).slice(row - place.first_row, 1), content_hash, own_prompt)

    def _first(self, rows: pa.Table, content_hash: str, own_prompt: str) -> Record | None:
        """The one that is meant: two contents may share 64 bits."""
        rows = rows.filter(pc.and_(self._usable(rows), pc.equal(rows["content_hash"], content_hash)))
        records = (row_to_record(row, self._row_schema) for row in rows.to_pylist())
        return next((record for record in records if own_prompt_of(record.source_version) == own_prompt), None)

    def _usable(self, rows: pa.Table) -> pa.ChunkedArray:
        asked_so = pc.equal(rows["request_hash"], self._request_hash)
        return pc.and_(asked_so, pc.is_in(rows["status"], pa.array(REUSABLE)))

    def _places(self, part: str) -> Iterator[tuple[Hashes, Hashes]]:
        for number, table in enumerate(read_part(self._folder, part, COLUMNS, as_dictionary=COLUMNS[1:])):
            self._groups.append(_Group(part, number, self._rows))
            usable = pc.and_(self._usable(table), pc.is_valid(table["content_hash"]))
            rows = pc.indices_nonzero(usable.combine_chunks())
            contents = table["content_hash"].combine_chunks()
            yield _numbers(contents.take(rows)), rows.to_numpy().astype(np.int64) + self._rows
            self._rows += len(table)

    def _read_group(self, place: _Group) -> pa.Table:
        return read_row_group(self._folder, place.part, place.number)


def _number(content_hash: str) -> int:
    """64 bits of a content hash, which is `algorithm:hex`."""
    return int.from_bytes(bytes.fromhex(content_hash[-_HEX_DIGITS:]), "big", signed=True)


def _numbers(contents: pa.Array) -> Hashes:
    """As `_number`, 20 times as fast: all in one go, since the hashes of one algorithm are equally long."""
    lengths = pc.unique(pc.binary_length(contents)).to_pylist()
    if len(lengths) != 1:
        return np.array([_number(content) for content in contents.to_pylist()], np.int64)
    [length] = lengths
    _, offsets, characters = contents.buffers()
    start = np.frombuffer(offsets, np.int32)[contents.offset]
    table = np.frombuffer(characters, np.uint8)[start : start + len(contents) * length].reshape(-1, length)
    digits = table[:, -_HEX_DIGITS:].tobytes().decode("ascii")
    return np.frombuffer(bytes.fromhex(digits), ">i8").astype(np.int64)
