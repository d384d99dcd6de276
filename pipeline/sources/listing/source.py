"""A file that lists images, as a source: each row is an image, or a failed row that says what is wrong with it."""

import gzip
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain

from pipeline.errors import UserError
from pipeline.items import Failure, SourceImage
from pipeline.sources.anywhere import Anywhere
from pipeline.sources.files import key_of, listed, path_of
from pipeline.sources.globs import compiled, compiled_below
from pipeline.sources.listing.columns import Columns, find_columns
from pipeline.sources.listing.locations import Place, clean, place_of
from pipeline.sources.listing.parquet import ParquetTable
from pipeline.sources.listing.rows import Row, csv_rows, json_rows, lines_of, plain_rows
from pipeline.sources.options import SourceOptions
from pipeline.sources.storage.remote import ObjectFile
from pipeline.sources.storage.stored import LocalFile, Stored, for_arrow
from pipeline.sources.unique import each_once

LISTING_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".txt")
GZIPPED = tuple(suffix + ".gz" for suffix in LISTING_SUFFIXES if suffix != ".parquet")
_PLAIN_COLUMN = "path"


class ListingFile(Anywhere):
    """The images of `file`: CSV, TSV, JSON Lines, Parquet, or one path or URL a line; all but Parquet also gzipped.

    Key: that of `key_column`, else the path as it stands, or the URL without its query. Paths are relative to the
    file's folder. Version: that of `version_column`, else size and time of a local file; a URL has none, so it counts
    as unchanged. Further columns are the image's metadata. A row that names no image ends as a failed row; so does one
    that names a file of this machine, in a list from elsewhere: who wrote that may not choose what is sent from here.
    """

    def __init__(self, file: Stored, options: SourceOptions) -> None:
        super().__init__(options, file.location if isinstance(file, ObjectFile) else None)
        self._file = file
        self._options = options
        self._is_included = compiled(options.include).fullmatch if options.include else None
        self._is_excluded = compiled_below(options.exclude).fullmatch if options.exclude else None
        with closing(self._rows()) as rows:
            next(rows, None)  # a file that is none, or lacks a column, is told before anything begins

    def list(self) -> Iterator[SourceImage]:
        return each_once(self._list)

    def _list(self) -> Iterator[SourceImage]:
        for columns, row in self._rows():
            image = self._image(row, columns)
            if self._is_wanted(image):
                yield image

    def _rows(self) -> Generator[tuple[Columns, Row], None, None]:
        name, options = self._file.name, self._options
        lower = name.lower().removesuffix(".gz")
        if lower.endswith(".parquet"):
            table = ParquetTable(for_arrow(self._file), name)
            image = table.image_column(options.image_column)
            if image is not None and not isinstance(self._file, LocalFile):
                raise UserError(f"{self._file.uri} holds the images themselves; copy it to this machine to read it.")
            columns = find_columns(table.columns, options, name, image)
            yield from ((columns, row) for row in table.rows(image))
            return
        with self._file.stream() as stream:
            lines = lines_of(gzip.GzipFile(fileobj=stream) if name.lower().endswith(".gz") else stream, name)
            if lower.endswith(".txt"):
                rows = plain_rows(lines, _PLAIN_COLUMN)
            elif lower.endswith((".jsonl", ".ndjson")):
                rows = json_rows(lines)
            else:
                rows = csv_rows(lines, None, "\t" if lower.endswith(".tsv") else None, name)
            try:
                yield from _with_columns(rows, options, name)
            except (EOFError, gzip.BadGzipFile, OSError) as error:
                raise UserError(f"{name} cannot be read to its end: {error}.") from None

    def _is_wanted(self, image: SourceImage) -> bool:
        if self._is_included and not self._is_included(image.key) and not image.failure:
            return False
        return not (self._is_excluded and self._is_excluded(image.key))

    def _image(self, row: Row, columns: Columns) -> SourceImage:
        if row.problem:
            return self._failed(row, row.problem)
        values = row.values
        metadata = {clean(name): clean(text) for name, text in values.items() if columns.is_metadata(name)}
        location = values.get(columns.image, "")
        if row.cell:
            place: Place | None = Place(f"{self._file.uri}#{row.cell}", self._key_of_cell(location, row))
        elif not location:
            return self._failed(row, f"has no {columns.image!r}")
        else:
            place = place_of(location, self._file.base)
        if place is None:
            return self._failed(row, f"has a {columns.image!r} that names no place of an image")
        key = values.get(columns.key) if columns.key else place.key
        if not key:
            return self._failed(row, f"has no {columns.key!r}, which is to be the key")
        if place.is_local and not isinstance(self._file, LocalFile):
            message = f"{self._where(row)} names a file of this machine, which only a list on this machine may."
            return SourceImage(clean(key), self._file.uri, "", failure=Failure("private_address", message))
        version, size = values.get(columns.version, "") if columns.version else "", None
        if not columns.version and row.cell:
            version = self._file.version
        elif not columns.version and place.is_local:
            found = listed(path_of(place.uri), place.key, place.uri)
            version, size = found.version, found.bytes
        prompt = values.get(columns.prompt) if columns.prompt else None
        return SourceImage(
            clean(key),
            place.uri,
            clean(version),
            size,
            metadata or None,
            clean(prompt) if prompt else None,
            place.address,
        )

    def _key_of_cell(self, path: str, row: Row) -> str:
        return clean(path) or f"{key_of(self._file.name)}::{row.number}"

    def _failed(self, row: Row, problem: str) -> SourceImage:
        message = f"{self._where(row)} {problem}."
        key = f"{key_of(self._file.name)}::{row.number}"
        return SourceImage(key, self._file.uri, "", failure=Failure("invalid_row", message))

    def _where(self, row: Row) -> str:
        what = "Row" if self._file.name.lower().endswith(".parquet") else "Line"
        return f"{what} {row.number} of {clean(self._file.name)}"


def _with_columns(rows: Iterator[Row], options: SourceOptions, name: str) -> Iterator[tuple[Columns, Row]]:
    """The rows, with the meaning of the columns as the first good row has them."""
    unread: list[Row] = []
    for row in rows:
        unread.append(row)
        if not row.problem:
            columns = find_columns(list(row.values), options, name)
            yield from ((columns, each) for each in chain(unread, rows))
            return
    if unread:
        raise UserError(f"{name} is no list of images: its line {unread[0].number} {unread[0].problem}.")


def is_listing(name: str) -> bool:
    return os.path.basename(name).lower().endswith((*LISTING_SUFFIXES, *GZIPPED))
