"""A whole listing, sorted into groups, whose images wait in a temporary file.

Measured with a million keys in groups of four: 48 bytes of memory and 188 bytes of the file an image
(tests/benchmarks/bench_groups.py).
"""

import os
import pickle
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import fields
from operator import attrgetter
from typing import Any

from pipeline.errors import RunError
from pipeline.items import SourceImage

_values = attrgetter(*(field.name for field in fields(SourceImage)))


class Gathered:
    """Images with the key of their group, all added before any is read. To be closed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="nightcap-groups-")  # noqa: SIM115, see `close`
        self._hashes = array("q")
        self._places = array("q")
        self._end = 0

    def add(self, group: str | None, image: SourceImage) -> None:
        """None: it is a group by itself."""
        # Flat: pickling the item, frozen and slotted, takes four times as long.
        record = pickle.dumps((group, _values(image)), pickle.HIGHEST_PROTOCOL)
        self._hashes.append(hash(image.key if group is None else group))
        self._places.append(self._end)
        self._end += len(record)
        try:
            self._file.write(record)
        except OSError as error:
            raise self._full(error) from None

    def groups(self) -> Iterator[tuple[str | None, list[SourceImage]]]:
        """Each group once, in the order in which their first images were listed."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._full(error) from None
        if self._end:
            yield from self._read()

    def close(self) -> None:
        """The file is gone with that."""
        self._file.close()

    def _read(self) -> Iterator[tuple[str | None, list[SourceImage]]]:
        import numpy as np  # 90 ms, which the processes that only read need not wait for

        hashes = np.frombuffer(self._hashes, np.int64)
        order = np.argsort(hashes, kind="stable")
        begins = np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[0]]))
        ends = np.append(begins[1:], len(order))
        for run in np.argsort(order[begins]):
            alike: dict[str | None, list[SourceImage]] = {}
            for number in order[begins[run] : ends[run]].tolist():
                group, values = self._record(number)
                if group is None:
                    yield None, [SourceImage(*values)]
                else:  # more than one only where two keys share a hash
                    alike.setdefault(group, []).append(SourceImage(*values))
            yield from alike.items()

    def _record(self, number: int) -> tuple[str | None, tuple[Any, ...]]:
        begin = self._places[number]
        end = self._places[number + 1] if number + 1 < len(self._places) else self._end
        # Not through a map of the file: its pages would count as memory.
        record: tuple[str | None, tuple[Any, ...]] = pickle.loads(os.pread(self._file.fileno(), end - begin, begin))
        return record

    def _full(self, error: OSError) -> RunError:
        where = tempfile.gettempdir()
        return RunError(
            f"Grouping the listing needs room in {where} for a file of {self._end:,} bytes and more: {error.strerror}; "
            "make room, or name another folder by TMPDIR."
        )
