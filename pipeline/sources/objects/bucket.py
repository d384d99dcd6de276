"""A bucket or container, or what lies below a prefix of it, as a stream: one page of names is in memory at a time."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.errors import Unavailable, Unreachable, UserError
from pipeline.items import SourceImage
from pipeline.objects import HASTY, PATIENT, Location, open_objects
from pipeline.sources.folder import OUTPUT
from pipeline.sources.globs import compiled_below, is_glob, split_glob
from pipeline.sources.names import is_included
from pipeline.sources.objects.reading import ObjectReader
from pipeline.sources.options import SourceOptions

if TYPE_CHECKING:
    from obstore import ObjectMeta

log = logging.getLogger(__name__)

PAGE_OBJECTS = 1000
"""As many as S3 lists with one request; Azure's 5000 come in such pieces."""


class Bucket(ObjectReader):
    """Images below a prefix. Key: the object's whole name, so that it is the same whatever prefix was given.

    Globs are relative to the prefix and mean what they mean in a folder. Old versions and deleted objects are not
    listed by a store; empty objects that stand for a folder are left out here.
    """

    _location: Location

    def __init__(self, options: SourceOptions, location: Location) -> None:
        super().__init__(options, location)
        folder, glob = split_glob(location.path) if is_glob(location.path) else (location.path, None)
        self._prefix = "" if folder == "." else folder
        self._is_wanted = _names_wanted(options, glob)

    def list(self) -> Iterator[SourceImage]:
        start = len(self._prefix) + 1 if self._prefix else 0
        found = False
        for page in self._pages():
            found = True
            for listed in page:
                if self._is_wanted(listed["path"][start:]) and not _stands_for_folder(listed):
                    yield self._image(listed)
        if self._prefix and not found:
            yield self._only_object()

    def _pages(self) -> Iterator[Sequence["ObjectMeta"]]:
        import obstore

        hasty, patient = (open_objects(self._location, patience=patience) for patience in (HASTY, PATIENT))
        bucket, last = hasty, None
        while True:
            try:
                for page in obstore.list(bucket.store, self._prefix or None, offset=last, chunk_size=PAGE_OBJECTS):
                    yield page
                    last = page[-1]["path"]
                return
            except Exception as error:
                trouble = bucket.explained(error)
                mistaken = last is None and isinstance(trouble, Unreachable)  # more likely than a night's trouble
                if bucket is patient or mistaken or not isinstance(trouble, Unavailable):
                    raise trouble from None
                log.warning("Waiting: %s", trouble)
                bucket = patient

    def _only_object(self) -> SourceImage:
        """The prefix itself, when it is an object's name."""
        import obstore

        bucket = open_objects(self._location)
        try:
            return self._image(obstore.head(bucket.store, self._prefix))
        except FileNotFoundError:
            uri = self._location.uri(self._prefix)
            raise UserError(f"There is no object at or below {uri}; check bucket and prefix.") from None
        except Exception as error:
            raise bucket.explained(error) from None

    def _image(self, listed: "ObjectMeta") -> SourceImage:
        name, size, etag = listed["path"], listed["size"], listed["e_tag"]
        # A list of Azure's has its etags without the quotes that a GET has; one without any is told by its time.
        version = etag.removeprefix("W/").strip('"') if etag else f"{size}-{listed['last_modified'].isoformat()}"
        return SourceImage(name, self._location.uri(name), version, size)


def _names_wanted(options: SourceOptions, glob: str | None) -> Callable[[str], bool]:
    """Whether an object is wanted, by its name below the prefix: as `Folder` decides it, parent folders included."""
    includes = is_included(options, glob)
    is_excluded = compiled_below(options.exclude).fullmatch if options.exclude else None

    def is_wanted(name: str) -> bool:
        path = "/" + name
        if not includes(name) or (is_excluded is not None and is_excluded(name)):
            return False
        return (options.hidden or "/." not in path) and f"/{OUTPUT}/" not in path

    return is_wanted


def _stands_for_folder(listed: "ObjectMeta") -> bool:
    """Consoles and Azure's hierarchical namespace make such; no image is empty and without a suffix."""
    return listed["size"] == 0 and "." not in listed["path"].rpartition("/")[2]
