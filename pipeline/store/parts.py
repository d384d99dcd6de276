"""Parquet parts: their names, how they are written and read, and how many become few. Knows Arrow tables and `Folder`.

Names are `part-SEQUENCE-RUN.parquet`. The sequence grows with every part that is written to an output, so names sort by
age even when the machine's clock is set back, and of two rows with one key the one in the later part is the newer. The
run keeps names of different machines apart.

A part is never changed: what must leave it is left out of a new part, and then the old one goes. Between the two both
hold the same rows, which is no other case than a superseded row; so whoever comes next, a run or a reader, sorts it out
without knowing what happened.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import RunError, UserError
from pipeline.store.folders.folder import Folder
from pipeline.store.folders.range_file import RangeFile
from pipeline.store.keys.finished import Mask, superseded
from pipeline.store.schema import SCHEMA, SCHEMA_VERSION, VERSION_KEY
from pipeline.store.unified import unified_schema, with_fields_as

# Measured on 50,000 rows of an Azure run, 1,167 bytes each in memory: zstd at level 3 gives 231 bytes at 8 us a row,
# level 1 250 at 7, level 6 229 at 15. A dictionary only for what repeats beats one for everything (261 bytes); delta
# encodings of keys, times or numbers save under 3 % and not every reader knows them.
_REPEATED = [
    *("format", "status", "reason", "provider", "model", "model_returned", "deployment", "mode", "detail"),
    *("sent_format", "price_date", "finish_reason", "request_hash", "run_id", "metadata.key_value.key"),
    *(f"content_filter.list.element.{name}" for name in ("category", "severity", "filtered", "where")),
]
_ROW_GROUP = 8_192
"""Rows that are encoded and decoded at once (25 ms). Twice as many save 1 % of the bytes; a quarter doubles the time in
which a run reads the columns that it resumes by."""
# Statistics stay on: 1 byte a row, and with the keys sorted a reader that looks for one skips most of a part (a third
# less time in DuckDB). A bloom filter on the key takes 2 bytes more and saved nothing there, nor did a page index; a
# run that resumes reads every key, which neither makes faster.

_MERGED_KEY = b"nightcap_merged_parts"

_NAME = re.compile(r"part-(\d+)-(.+)\.parquet")


def next_name(folder: Folder, run_id: str) -> str:
    sequences = [int(match[1]) for match in map(_NAME.fullmatch, folder.part_names()) if match]
    folder.last_sequence = max([folder.last_sequence, *sequences]) + 1
    return f"part-{folder.last_sequence:08d}-{run_id}.parquet"


def write_part(folder: Folder, name: str, table: pa.Table) -> None:
    """Write the rows sorted by key, and of rows with one key only the last."""
    order = pc.sort_indices(table["key"])  # a stable sort
    keys = table["key"].take(order).combine_chunks()
    last = pa.concat_arrays([pc.not_equal(keys[1:], keys[:-1]), pa.array([True])])
    order = order.filter(last)
    # Sorted a row group at a time: a sorted copy of the whole would cost as much memory as the rows.
    groups = (table.take(order[start : start + _ROW_GROUP]) for start in range(0, len(order), _ROW_GROUP))
    folder.put(name, partial(_write, table.schema, groups))


def _write(schema: pa.Schema, groups: Iterable[pa.Table], path: Path) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, use_dictionary=_REPEATED) as writer:
        for group in groups:
            writer.write_table(group)


def read_part(
    folder: Folder,
    name: str,
    columns: Sequence[str] | None = None,
    drop: Mask | None = None,
    as_dictionary: Sequence[str] = (),
) -> Iterator[pa.Table]:
    """One table for each row group, without the rows of `drop`; columns `as_dictionary` stay encoded.

    FileNotFoundError when the part was merged into another meanwhile.
    """
    start = 0
    with _damage_explained(folder, name), _open(folder, name, columns, as_dictionary=as_dictionary) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns)
            end = start + len(table)
            yield table if drop is None else table.filter(pa.array(~drop[start:end]))
            start = end


def read_row_group(folder: Folder, name: str, number: int) -> pa.Table:
    """One row group with all its columns."""
    with _damage_explained(folder, name), _open(folder, name, None, group=number) as file:
        return file.read_row_group(number)


@contextmanager
def _damage_explained(folder: Folder, name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's trouble, not the file's
        raise RunError(
            f"{folder}/{name} is damaged; restore it, or remove it to have its images asked again."
        ) from error


def _open(
    folder: Folder,
    name: str,
    columns: Sequence[str] | None = (),
    *,
    group: int | None = None,
    as_dictionary: Sequence[str] = (),
) -> pq.ParquetFile:
    """A part of which these columns (None: all) of a row group (None: of all) are about to be read."""
    source = folder.open(name)
    metadata = pq.read_metadata(source)
    _check_version(f"{folder}/{name}", metadata.metadata or {})
    if isinstance(source, RangeFile):
        groups = range(metadata.num_row_groups) if group is None else [group]
        source.prefetch([chunk for number in groups for chunk in _chunks(metadata.row_group(number), columns)])
    # Its own fetching ahead knows nothing of other row groups: one round trip for each instead of one for all.
    ahead = not isinstance(source, RangeFile)
    return pq.ParquetFile(source, metadata=metadata, read_dictionary=list(as_dictionary), pre_buffer=ahead)


def _chunks(group: pq.RowGroupMetaData, columns: Sequence[str] | None) -> Iterator[tuple[int, int]]:
    """Where in the file these columns lie: 4 % of it for those of a resume."""
    for number in range(group.num_columns):
        column = group.column(number)
        if columns is None or column.path_in_schema.partition(".")[0] in columns:
            begin = column.data_page_offset
            if column.has_dictionary_page:
                begin = min(begin, column.dictionary_page_offset)
            yield begin, begin + column.total_compressed_size


def _check_version(path: str, metadata: Mapping[bytes, bytes]) -> None:
    version = metadata.get(VERSION_KEY)
    if version is None:
        raise UserError(f"{path} was not written by Nightcap; choose another output.")
    if int(version) > SCHEMA_VERSION:
        raise UserError(f"{path} was written by a newer Nightcap; update this one.")


def keys_of(folder: Folder, name: str) -> pa.ChunkedArray:
    tables = read_part(folder, name, ["key"])
    return pa.chunked_array([chunk for table in tables for chunk in table["key"].chunks], pa.string())


def without_overtaken(folder: Folder, waiting: pa.Table) -> pa.Table:
    """Leave out, of the rows that a dead run left in its journal, those that a later run has written.

    That happens only where journal and parts lie apart: another machine went on with the output. It may also have
    merged away the very part that held these rows. Identities of runs begin with the time, so they tell what is later.
    """
    runs = dict(zip(waiting["key"].to_pylist(), waiting["run_id"].to_pylist(), strict=True))
    later: set[str] = set()
    for name in folder.part_names():
        match = _NAME.fullmatch(name)
        if match and match[2] > min(runs.values()):
            for table in read_part(folder, name, ["key", "run_id"]):
                known = table.filter(pc.is_in(table["key"], pa.array(list(runs), pa.string())))
                later.update(row["key"] for row in known.to_pylist() if row["run_id"] >= runs[row["key"]])
    return waiting.filter(pc.invert(pc.is_in(waiting["key"], pa.array(list(later), pa.string())))) if later else waiting


def tidy(
    folder: Folder,
    run_id: str,
    rows_per_part: int,
    *,
    replaced: bool,
    many: int,
    gone: Callable[[pa.ChunkedArray], Mask] | None = None,
) -> int:
    """Leave one row per key, where rows were `replaced`, one type of `fields`, and merge small parts once there are
    `many`.

    `gone` says which keys are to leave as well; returns how many such rows did.
    """
    names = folder.part_names()
    keys = [partial(keys_of, folder, name) for name in names]
    drops: list[Mask | None] = [None] * len(names)
    pruned = 0
    if replaced:
        drops = list(superseded(keys))
    if gone:
        for number, drop in enumerate(drops):
            mask = gone(keys[number]())
            pruned += int((mask if drop is None else mask & ~drop).sum())
            drops[number] = mask if drop is None else mask | drop
    parts = [_survey(folder, name, drop) for name, drop in zip(names, drops, strict=True)]
    staying = [part.schema for part in parts if part.rows]
    fields = unified_schema(staying or [SCHEMA]).field("fields").type
    whole = SCHEMA.set(SCHEMA.get_field_index("fields"), SCHEMA.field("fields").with_type(fields))
    for group in _merges(parts, rows_per_part, many, fields):
        tables = [
            _with_columns(with_fields_as(table, fields), whole)
            for part in group
            for table in read_part(folder, part.name, drop=part.drop)
        ]
        if any(map(len, tables)):
            write_part(folder, next_name(folder, run_id), pa.concat_tables(tables))
        for part in group:
            folder.remove(part.name)
    return pruned


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    schema: pa.Schema
    rows: int
    """That stay."""
    drop: Mask | None
    """Rows that go; None when all stay."""


def _survey(folder: Folder, name: str, drop: Mask | None) -> _Part:
    with _open(folder, name) as file:
        if drop is None or not drop.any():
            return _Part(name, file.schema_arrow, file.metadata.num_rows, None)
        return _Part(name, file.schema_arrow, int((~drop).sum()), drop)


def _merges(parts: Sequence[_Part], rows_per_part: int, many: int, fields: pa.DataType) -> list[list[_Part]]:
    """Which parts become one: each that loses rows or has another type of `fields`, and the small ones when there are
    many.
    """
    other = {part.name for part in parts if part.schema.field("fields").type != fields}
    small = {part.name for part in parts if part.rows < rows_per_part // 2}
    groups: list[list[_Part]] = []
    for part in parts:
        unchanged = part.drop is None and part.name not in other
        if unchanged and (part.name not in small or len(small) < many):
            continue
        fits = groups and sum(other.rows for other in groups[-1]) + part.rows <= rows_per_part
        if fits and _but_for_fields(groups[-1][0].schema).equals(_but_for_fields(part.schema)):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [group for group in groups if len(group) > 1 or group[0].drop is not None or group[0].name in other]


def _but_for_fields(schema: pa.Schema) -> pa.Schema:
    """As it is written again: with the columns that came later."""
    unified = pa.unify_schemas([schema.remove(schema.get_field_index("fields")), SCHEMA], promote_options="permissive")
    return unified.remove(unified.get_field_index("fields"))


def refuse_foreign_file(folder: Folder) -> None:
    """UserError where the single file that the parts are to be merged into is somebody else's."""
    if folder.merged and folder.settled(folder.merged):
        try:
            metadata = pq.read_metadata(folder.open(folder.merged)).metadata
        except pa.ArrowInvalid:
            metadata = None
        _check_version(f"{folder}.parquet", metadata or {})


def merge_parts(folder: Folder, target: str) -> None:
    """Write the rows of all parts into one file, a row group at a time; nothing when it holds these parts already."""
    names = folder.part_names()
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest().encode()  # a part never changes under its name
    if folder.settled(target) and (pq.read_schema(folder.open(target)).metadata or {}).get(_MERGED_KEY) == digest:
        return
    schemas = [_survey(folder, name, None).schema for name in names]
    fields = unified_schema(schemas or [SCHEMA]).field("fields")
    schemas = [schema.set(schema.get_field_index("fields"), fields) for schema in (SCHEMA, *schemas)]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    schema = schema.with_metadata({**(SCHEMA.metadata or {}), _MERGED_KEY: digest})
    tables = (with_fields_as(table, fields.type) for name in names for table in read_part(folder, name))
    folder.put(target, partial(_write, schema, (_with_columns(table, schema).cast(schema) for table in tables)))


def _with_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows with all columns of `schema`: those that came after they were written are null."""
    return pa.concat_tables([schema.empty_table(), table], promote_options="permissive")
