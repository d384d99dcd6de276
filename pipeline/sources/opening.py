"""From what the user wrote to a source. A further kind of source is one more form and one more line in `_SOURCES`."""

import glob
import itertools
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
from pipeline.sources.groups.source import Grouped
from pipeline.sources.listing.inventories import InventoryFiles, is_inventory
from pipeline.sources.listing.locations import web_place
from pipeline.sources.listing.source import ListingFile, is_listing
from pipeline.sources.objects import Bucket
from pipeline.sources.options import SourceOptions
from pipeline.sources.several import Chain, Part, Several
from pipeline.sources.source import Source
from pipeline.sources.storage.remote import ObjectFile, WebFile
from pipeline.sources.storage.stored import LocalFile, Stored
from pipeline.sources.web.image import WebImage

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)


def open_source(options: SourceOptions) -> Source:
    """The images that `options` names. Raises UserError for a path that does not exist or that we cannot read."""
    if not options.paths:
        raise UserError("No source was given: name a folder, a bucket, a list or an archive.")
    parts = [_part(given, options) for given in options.paths]
    alone = len(parts) == 1 and split_source(options.paths[0])[0] is None
    source = parts[0].source if alone else Several(parts)
    return Grouped(source, options.group_by) if options.group_by else source


def key_prefixes(source: Source) -> Sequence[str]:
    """Of several sources, what the keys of each begin with; ends in `/`. Without those that say it in each key."""
    if isinstance(source, Grouped):
        [source] = source.sources
    return [part.prefix for part in source.parts if part.prefix] if isinstance(source, Several) else []


def split_source(given: str, folder: str | os.PathLike[str] = "") -> tuple[str | None, str]:
    """`NAME=SOURCE` into its halves; None when it says no name, or there is, in `folder`, what is called so.

    Partitions are called like this: of `year=2024/*.jpg` the folder may be there.
    """
    match = _NAMED.fullmatch(given)
    fixed = "/".join(itertools.takewhile(lambda part: not (is_glob(part) or has_braces(part)), given.split("/")))
    if match is None or any(name and os.path.lexists(os.path.join(folder, name)) for name in (given, fixed)):
        return None, given
    return match[1], match[2]


def _part(given: str, options: SourceOptions) -> Part:
    name, path = split_source(given)
    path = path_of(path) if path.startswith(SCHEME) else path
    form, shown = _form(path), without_secrets(given)
    source = _SOURCES[form](path, options)
    own_name = _own_name(path, form)
    return Part(shown, name or own_name, source, frozenset() if name else _own_names(source, own_name))


def _own_name(path: str, form: str) -> str:
    """What keys begin with where there are several sources."""
    if form == "a URL" and (place := web_place(path)):
        return place.key
    if (location := find_location(path)) and form == "an object store":
        return location.bucket
    named = split_glob(path)[0] if form == "a glob" else without_secrets(path)
    return key_of(os.path.basename(os.path.abspath(named)))


def _own_names(source: Source, name: str) -> frozenset[str]:
    if isinstance(source, Archives):
        return source.names
    return frozenset([name]) if isinstance(source, File | WebImage) else frozenset()


def _bucket(path: str, options: SourceOptions) -> Source:
    location = find_location(path)
    assert location is not None
    return Bucket(options, location)


def _glob(path: str, options: SourceOptions) -> Source:
    folder, pattern = split_glob(path)
    return Folder(folder, options, pattern)


def _listing(path: str, options: SourceOptions) -> Source:
    sources = [ListingFile(_stored(name, options), options) for name in _names(path)]
    return sources[0] if len(sources) == 1 else Chain(sources)


def _archives(path: str, options: SourceOptions) -> Source:
    return Archives([_stored(name, options) for name in _names(path)], options)


def _stored(path: str, options: SourceOptions) -> Stored:
    if location := find_location(path):
        return ObjectFile(location)
    return WebFile(path, options) if _WEB.match(path) else LocalFile(path)


def _names(path: str) -> list[str]:
    """The files that a pattern of listings or archives stands for."""
    if os.path.exists(path):
        return [path]
    names: list[str] = []
    for name in expanded(path):
        if is_glob(name) and not _REMOTE.match(name):
            found = sorted(glob.glob(name, recursive=True))
            if not found:
                raise UserError(f"No file is called {name!r}.")
            names += found
        else:
            names.append(name)
    return list(dict.fromkeys(names))  # patterns may overlap


_SOURCES: dict[str, Callable[[str, SourceOptions], Source]] = {
    "a folder": Folder,
    "a file": File,
    "a glob": _glob,
    "a listing file": _listing,
    "an archive": _archives,
    "an inventory": lambda path, options: InventoryFiles(_stored(path, options), options),
    "an object store": _bucket,
    "a URL": WebImage,
}


def _form(path: str) -> str:
    """What kind of source a path is; what exists is never taken for a pattern."""
    if _REMOTE.match(path):
        form = _form_of_file(re.split("[?#]", path)[0])
        if form != "a file":
            return form
        return "an object store" if find_location(path) else "a URL"
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
        raise UserError(f"The source {path!r} has braces, which only lists and archives may have; write a glob.")
    raise UserError(f"The source {path!r} does not exist; it is neither a file nor a folder.")


def _form_of_file(path: str) -> str:
    if is_listing(path):
        return "a listing file"
    if is_inventory(path):
        return "an inventory"
    return "an archive" if is_archive(path) else "a file"
