"""From what the user wrote to a source. A further kind of source is one more form and one more line in `_SOURCES`."""

import glob
import os
import re
from collections.abc import Callable, Sequence

from pipeline.errors import UserError
from pipeline.objects import find_location, without_secrets
from pipeline.sources.archives.source import Archives, is_archive
from pipeline.sources.braces import expanded, has_braces
from pipeline.sources.files import SCHEME, File, key_of, path_of
from pipeline.sources.folder import Folder
from pipeline.sources.globs import is_glob, split_glob
from pipeline.sources.listing.source import ListingFile, is_listing
from pipeline.sources.objects import Bucket
from pipeline.sources.options import SourceOptions
from pipeline.sources.several import Chain, Part, Several
from pipeline.sources.source import Source
from pipeline.sources.storage import LocalFile

_REMOTE = re.compile(r"https?://", re.IGNORECASE)
_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)


def open_source(options: SourceOptions) -> Source:
    """The images that `options` names. Raises UserError for a path that does not exist or that we cannot read."""
    if not options.paths:
        raise UserError("No source was given: name a folder, a file or a glob.")
    parts = [_part(given, options) for given in options.paths]
    if len(parts) == 1 and split_source(options.paths[0])[0] is None:
        return parts[0].source
    return Several(parts)


def split_source(given: str) -> tuple[str | None, str]:
    """`NAME=SOURCE` into its halves; None when it says no name, or there is a file that is called so."""
    match = _NAMED.fullmatch(given)
    if match is None or os.path.lexists(given):
        return None, given
    return match[1], match[2]


def _part(given: str, options: SourceOptions) -> Part:
    name, path = split_source(given)
    path = path_of(path) if path.startswith(SCHEME) else path
    form, shown = _form(path), without_secrets(given)
    if form not in _SOURCES:
        known = ", ".join(_SOURCES)
        raise UserError(f"The source {shown!r} is {form}, which is not supported yet; use {known}.")
    source = _SOURCES[form](path, options)
    own_name = _own_name(path, form)
    return Part(shown, name or own_name, source, frozenset() if name else _own_names(source, own_name))


def _own_name(path: str, form: str) -> str:
    """What keys begin with where there are several sources."""
    if location := find_location(path):
        return location.bucket
    named = split_glob(path)[0] if form == "a glob" else path
    return key_of(os.path.basename(os.path.abspath(named)))


def _own_names(source: Source, name: str) -> frozenset[str]:
    if isinstance(source, Archives):
        return source.names
    return frozenset([name]) if isinstance(source, File) else frozenset()


def _bucket(path: str, options: SourceOptions) -> Source:
    location = find_location(path)
    assert location is not None
    return Bucket(location, options)


def _glob(path: str, options: SourceOptions) -> Source:
    folder, pattern = split_glob(path)
    return Folder(folder, options, pattern)


def _listing(path: str, options: SourceOptions) -> Source:
    return _chain([ListingFile(LocalFile(each), options) for each in _names(path)])


def _names(path: str) -> list[str]:
    """The files that a pattern of listings or archives stands for."""
    if os.path.exists(path):
        return [path]
    names = []
    for name in expanded(path):
        found = sorted(glob.glob(name, recursive=True)) if is_glob(name) else [name]
        if not found:
            raise UserError(f"No file is called {name!r}.")
        names += found
    return names


def _chain(sources: Sequence[Source]) -> Source:
    return sources[0] if len(sources) == 1 else Chain(sources)


_SOURCES: dict[str, Callable[[str, SourceOptions], Source]] = {
    "a folder": Folder,
    "a file": File,
    "a glob": _glob,
    "a listing file": _listing,
    "an archive": lambda path, options: Archives([LocalFile(each) for each in _names(path)], options),
    "an object store": _bucket,
}


def _form(path: str) -> str:
    """What kind of source a path is; what exists is never taken for a pattern."""
    if find_location(path):
        return "an object store"
    if _REMOTE.match(path):
        return "a URL"
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise UserError(f"The source {path!r} cannot be read: {error}.") from error
    else:
        return "a folder" if os.path.isdir(path) else _form_of_file(path)
    if is_glob(path) or has_braces(path):
        form = _form_of_file(path)
        if form != "a file":
            return form
        if is_glob(path):
            return "a glob"
        return "a brace pattern of files that are neither lists nor archives"
    raise UserError(f"The source {path!r} does not exist; it is neither a file nor a folder.")


def _form_of_file(path: str) -> str:
    if is_listing(path):
        return "a listing file"
    return "an archive" if is_archive(path) else "a file"
