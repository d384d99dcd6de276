"""From what the user wrote to a source. A further kind of source is one more form and one more line in `_SOURCES`."""

import os
import re
from collections.abc import Callable

from pipeline.errors import UserError
from pipeline.sources.files import SCHEME, File, key_of, path_of
from pipeline.sources.folder import Folder
from pipeline.sources.globs import is_glob, split_glob
from pipeline.sources.options import SourceOptions
from pipeline.sources.several import Part, Several
from pipeline.sources.source import Source

_LISTING_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")
_ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
_REMOTE = re.compile(r"(s3|gs|az|https?)://", re.IGNORECASE)


def open_source(options: SourceOptions) -> Source:
    """The images that `options` names. Raises UserError for a path that does not exist or that we cannot read."""
    if not options.paths:
        raise UserError("No source was given: name a folder, a file or a glob.")
    parts = [_open(path, options) for path in options.paths]
    return parts[0].source if len(parts) == 1 else Several(parts)


def _glob(path: str, options: SourceOptions) -> Source:
    folder, glob = split_glob(path)
    return Folder(folder, options, glob)


_SOURCES: dict[str, Callable[[str, SourceOptions], Source]] = {
    "a folder": Folder,
    "a file": File,
    "a glob": _glob,
}


def _open(given: str, options: SourceOptions) -> Part:
    path = path_of(given) if given.startswith(SCHEME) else given
    form = _form(path)
    if form not in _SOURCES:
        known = ", ".join(_SOURCES)
        raise UserError(f"The source {given!r} is {form}, which is not supported yet; use {known}.")
    named = split_glob(path)[0] if form == "a glob" else path
    return Part(given, key_of(os.path.basename(os.path.abspath(named))), _SOURCES[form](path, options))


def _form(path: str) -> str:
    """What kind of source a path is; what exists is never taken for a pattern."""
    if _REMOTE.match(path):
        return "an object store or a URL"
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise UserError(f"The source {path!r} cannot be read: {error}.") from error
    else:
        return "a folder" if os.path.isdir(path) else _form_of_file(path)
    if is_glob(path):
        return "a glob"
    if "{" in path:
        return "a brace pattern of shards"
    raise UserError(f"The source {path!r} does not exist; it is neither a file nor a folder.")


def _form_of_file(path: str) -> str:
    name = path.lower()
    if name.endswith(_LISTING_SUFFIXES):
        return "a listing file"
    return "an archive" if name.endswith(_ARCHIVE_SUFFIXES) else "a file"
