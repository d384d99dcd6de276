"""Parquet that lists images, or holds them: Hugging Face's `image` struct of bytes and path, or a binary column.

Listing reads every column but the bytes, a batch at a time; a row is then found again by row group and row. A Parquet
column can be read forwards only, so reading keeps a place in the row group and moves on from there: images that are
asked for in about the order of the listing are read once.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

from pipeline.errors import ImageError, UserError
from pipeline.sources.listing.rows import Row, text_of

LISTED_ROWS = 4096
READ_ROWS = 16
"""Images in memory at once, twice; they are asked for a little out of order when several threads read."""
OPEN_CURSORS = 4
_BUFFER_BYTES = 1024 * 1024
_USUAL = ("image", "img", "picture", "photo", "jpg", "png", "bytes")


@dataclass(frozen=True, slots=True)
class Cell:
    """Where in a Parquet file an image's bytes lie."""

    group: int
    row: int
    """Within the row group."""
    column: str
    """Dotted path of the leaf."""

    def fragment(self) -> str:
        return urlencode({"row_group": self.group, "row": self.row, "column": self.column})

    @classmethod
    def parse(cls, fragment: str) -> "Cell | None":
        values = parse_qs(fragment)
        try:
            return cls(int(values["row_group"][0]), int(values["row"][0]), values["column"][0])
        except (KeyError, ValueError):
            return None


class ParquetTable:
    """The rows of a Parquet file. `file` is a path, or anything that pyarrow can read from at any place."""

    def __init__(self, file: Any, name: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._name = name
        with _explained(name):
            self._file = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        fields = {field.name: field.type for field in self._file.schema_arrow}
        self._embedded = {name: leaf for name, kind in fields.items() if (leaf := _bytes_leaf(pa, name, kind))}
        self.columns = [name for name, kind in fields.items() if name in self._embedded or not _is_binary(pa, kind)]

    def image_column(self, wanted: str | None) -> str | None:
        """The column that holds the images themselves: `wanted` or the usual one; None when there is no such one."""
        if wanted is not None:
            return wanted if wanted in self._embedded else None
        usual = [name for name in _USUAL if name in self._embedded]
        structs = [name for name, leaf in self._embedded.items() if leaf != name]
        return next(iter((*usual, *structs)), None)

    def rows(self, image: str | None) -> Iterator[Row]:
        """Every row; with the place of its image when `image`, the column that holds it, is given.

        The value of such a column is the path that the struct gives beside the bytes, if it does.
        """
        leaf = self._embedded[image] if image else None
        wanted = [name for name in self.columns if name not in self._embedded]
        paths = {name: f"{name}.path" for name in self._embedded if self._embedded[name] != name}
        number = 0
        for group in range(self._file.num_row_groups):
            embedded = leaf is not None and not self._is_null(group, leaf)
            for row, values in enumerate(self._values(group, wanted, paths)):
                number += 1
                cell = Cell(group, row, leaf).fragment() if embedded and leaf else None
                yield Row(number, values, cell=cell)

    def _values(self, group: int, columns: list[str], paths: dict[str, str]) -> Iterator[dict[str, str]]:
        count = self._file.metadata.row_group(group).num_rows
        if not columns and not paths:
            yield from ({} for _ in range(count))
            return
        with _explained(self._name):
            batches = self._file.iter_batches(
                LISTED_ROWS, row_groups=[group], columns=[*columns, *paths.values()], use_threads=False
            )
        while True:
            with _explained(self._name):
                batch = next(batches, None)
            if batch is None:
                return
            for values in batch.to_pylist():
                for name in paths:
                    values[name] = (values.get(name) or {}).get("path")
                yield {name: text_of(value) for name, value in values.items() if value is not None}

    def _is_null(self, group: int, leaf: str) -> bool:
        """Whether the file says that a row group holds paths alone."""
        row_group = self._file.metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            if column.path_in_schema == leaf:
                known = column.statistics
                return bool(known and known.has_null_count and known.null_count == row_group.num_rows)
        return False


class CellReader:
    """Reads images out of Parquet files, from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._cursors: OrderedDict[tuple[str, int, str], _Cursor] = OrderedDict()

    def read(self, path: str, cell: Cell) -> bytes:
        """Raises ImageError `unreadable` or `too_large`."""
        with self._lock:
            try:
                value = self._value(path, cell)
            except Exception as error:  # Arrow's are many; a damaged page may be any of them
                self._cursors.clear()
                raise ImageError("unreadable", f"The Parquet file cannot be read: {_one_line(error)}.") from error
        if value is None:
            raise ImageError("unreadable", "The row holds no image.")
        if len(value) > self._max_bytes:
            raise ImageError("too_large", f"It has {len(value)} bytes, more than max_bytes = {self._max_bytes}.")
        return value

    def _value(self, path: str, cell: Cell) -> bytes | None:
        key = (path, cell.group, cell.column)
        cursor = self._cursors.pop(key, None)
        if cursor is None or cursor.is_past(cell.row):
            cursor = _Cursor(*key)
        self._cursors[key] = cursor
        if len(self._cursors) > OPEN_CURSORS:
            self._cursors.popitem(last=False)
        return cursor.value(cell.row)


class _Cursor:
    """A place in one column of one row group."""

    def __init__(self, path: str, group: int, column: str) -> None:
        import pyarrow.parquet as pq

        self._field = column.partition(".")[2] and column.rpartition(".")[2]
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        self._batches = file.iter_batches(READ_ROWS, row_groups=[group], columns=[column], use_threads=False)
        self._kept: list[tuple[int, Any]] = []
        self._next = 0

    def is_past(self, row: int) -> bool:
        return bool(self._kept) and row < self._kept[0][0]

    def value(self, row: int) -> bytes | None:
        while row >= self._next:
            column = next(self._batches).column(0)
            self._kept = [*self._kept[-1:], (self._next, column)]
            self._next += len(column)
        start, column = next((start, column) for start, column in reversed(self._kept) if start <= row)
        value: Any = column[row - start].as_py()
        data: bytes | None = value[self._field] if self._field and value is not None else value
        return data


def _bytes_leaf(pa: Any, name: str, kind: Any) -> str | None:
    if _is_binary(pa, kind):
        return name
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and kind.get_field_index("path") >= 0:
        return f"{name}.bytes"
    return None


def _is_binary(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


@contextmanager
def _explained(name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{name} cannot be read as Parquet: {_one_line(error)}.") from None


def _one_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200].rstrip(".")
