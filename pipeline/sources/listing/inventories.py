"""An inventory of an object store as a source: its manifest and its files, here or in the store."""

import gzip
import json
import os
from collections.abc import Iterator, Mapping

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.objects import find_location
from pipeline.sources.anywhere import Anywhere
from pipeline.sources.globs import compiled_below
from pipeline.sources.listing.inventory import MANIFEST_SUFFIX, Listed, objects_of, read_manifest
from pipeline.sources.listing.locations import clean
from pipeline.sources.listing.parquet import ParquetTable
from pipeline.sources.listing.rows import csv_rows, lines_of
from pipeline.sources.names import is_included
from pipeline.sources.options import SourceOptions
from pipeline.sources.storage.remote import ObjectFile
from pipeline.sources.storage.stored import LocalFile, Stored, for_arrow
from pipeline.sources.unique import each_once

_LONGEST_MANIFEST = 64 * 1024 * 1024


class InventoryFiles(Anywhere):
    """The images that an inventory lists. Key: the object's name; Azure's with the container before it."""

    def __init__(self, manifest: Stored, options: SourceOptions) -> None:
        super().__init__(options)
        self._manifest = manifest
        self._hidden = options.hidden
        self._is_included = is_included(options)
        self._is_excluded = compiled_below(options.exclude).fullmatch if options.exclude else None
        with manifest.stream() as stream:
            try:
                document = json.loads(stream.read(_LONGEST_MANIFEST))
            except ValueError:
                raise UserError(f"{manifest.name} is not JSON, so it is no manifest of an inventory.") from None
        self._inventory = read_manifest(document, manifest.name)

    def list(self) -> Iterator[SourceImage]:
        return each_once(self._list)

    def _list(self) -> Iterator[SourceImage]:
        for url in self._inventory.files:
            for listed in objects_of(self._inventory, self._rows(url), self._manifest.name):
                if self._is_wanted(listed.name):
                    yield self._image(listed)

    def _image(self, listed: Listed) -> SourceImage:
        kind, name = self._inventory.kind, clean(listed.name)
        key = name if kind == "s3" else f"{clean(listed.bucket)}/{name}"
        return SourceImage(key, f"{kind}://{listed.bucket}/{name}", listed.version, listed.size)

    def _is_wanted(self, name: str) -> bool:
        if not self._is_included(name) or (self._is_excluded and self._is_excluded(name)):
            return False
        return self._hidden or "/." not in f"/{name}"

    def _rows(self, url: str) -> Iterator[Mapping[str, str]]:
        file = self._file(url)
        if self._inventory.is_parquet:
            yield from (row.values for row in ParquetTable(for_arrow(file), file.name).rows(None))
            return
        columns = list(self._inventory.columns) if self._inventory.columns else None
        with file.stream() as stream:
            plain = gzip.GzipFile(fileobj=stream) if file.name.endswith(".gz") else stream
            try:
                for row in csv_rows(lines_of(plain, file.name), columns, ",", file.name):
                    if row.problem:
                        raise UserError(f"Line {row.number} of the inventory's {file.name} {row.problem}.")
                    yield row.values
            except (EOFError, gzip.BadGzipFile) as error:
                raise UserError(f"The inventory's {file.name} cannot be read to its end: {error}.") from None

    def _file(self, url: str) -> Stored:
        """The file beside a manifest that was copied to this machine, else where the service put it."""
        if isinstance(self._manifest, LocalFile):
            for path in _nearby(os.path.dirname(self._manifest.path), url.partition("://")[2].partition("/")[2]):
                if os.path.isfile(path):
                    return LocalFile(path)
        location = find_location(url)
        assert location is not None
        return ObjectFile(location)


def _nearby(folder: str, key: str) -> Iterator[str]:
    """Where the file `key` of an inventory may lie when the manifest is in `folder`."""
    name = os.path.basename(key)
    for place in ("", "data", os.path.join(os.pardir, "data")):
        yield os.path.join(folder, place, name)
    while True:
        yield os.path.join(folder, key)
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def is_inventory(name: str) -> bool:
    return name.lower().endswith(MANIFEST_SUFFIX)
