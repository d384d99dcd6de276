"""Archives as a source: the images of one tar or zip, or of many shards. Key: `SHARD::MEMBER`."""

import posixpath
from collections.abc import Iterator, Sequence
from urllib.parse import unquote_to_bytes

from pipeline.errors import UserError
from pipeline.items import Failure, SourceImage
from pipeline.sources.anywhere import Anywhere
from pipeline.sources.archives.gunzip import Gunzip
from pipeline.sources.archives.members import Member
from pipeline.sources.archives.tar import DamagedArchive, tar_members
from pipeline.sources.archives.zip import zip_members
from pipeline.sources.files import key_of
from pipeline.sources.globs import compiled_below
from pipeline.sources.names import is_included
from pipeline.sources.options import SourceOptions
from pipeline.sources.storage.remote import ObjectFile
from pipeline.sources.storage.stored import LocalFile, Stored, Window
from pipeline.sources.unique import Seen

TAR, GZIPPED_TAR, ZIP = (".tar",), (".tar.gz", ".tgz"), (".zip",)
SUFFIXES_OF_ARCHIVES = TAR + GZIPPED_TAR + ZIP
SEPARATOR = "::"
WINDOW_BYTES = 64 * 1024
"""Of an archive far away, what is asked for at once while it is listed: many small members, one large one's header."""


class Archives(Anywhere):
    """The images in `files`, archive by archive, in the order in which they lie there.

    A damaged archive is a failed row, after the images that came before the damage.
    """

    def __init__(self, files: Sequence[Stored], options: SourceOptions) -> None:
        locations = [file.location for file in files if isinstance(file, ObjectFile)]
        super().__init__(options, next(iter(locations), None), not all(isinstance(f, LocalFile) for f in files))
        self._archives = files
        self._hidden = options.hidden
        self._is_included = is_included(options)
        self._is_excluded = compiled_below(options.exclude).fullmatch if options.exclude else None
        folder = posixpath.commonprefix([file.base for file in files]).rpartition("/")[0] + "/"
        self._names = [_relative(file, folder) for file in files]

    @property
    def names(self) -> frozenset[str]:
        """What keys begin with: of each archive, its path below the folder that holds all."""
        return frozenset(self._names)

    def list(self) -> Iterator[SourceImage]:
        for file, name in zip(self._archives, self._names, strict=True):
            try:
                yield from self._images(file, name)
            except DamagedArchive as error:
                failure = Failure("unreadable", f"The archive cannot be listed any further: {error}.")
                yield SourceImage(name + SEPARATOR, file.uri, file.version, failure=failure)

    def _images(self, file: Stored, archive: str) -> Iterator[SourceImage]:
        seen = Seen()
        for number, member in enumerate(_members(file), start=1):
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            name = "/".join(parts)
            if not self._is_wanted(name, parts):
                continue
            key = archive + SEPARATOR + key_of(name)
            failure = Failure("unsafe_path", "Its name leads out of the archive.") if ".." in parts else member.failure
            if not seen.add(name):
                failure = Failure("duplicate_name", "The archive holds an image of this name already.")
                key = f"{key}#{number}"
            fragment = f"#{member.place.fragment()}" if member.place and not failure else ""
            yield SourceImage(
                key, file.uri + fragment, member.version, member.size, address=file.address, failure=failure
            )

    def _is_wanted(self, name: str, parts: Sequence[str]) -> bool:
        if not self._hidden and any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts):
            return False
        return bool(self._is_included(name)) and not (self._is_excluded and self._is_excluded(name))


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES_OF_ARCHIVES)


def _members(file: Stored) -> Iterator[Member]:
    name = file.name.lower()
    if name.endswith(GZIPPED_TAR):
        if not isinstance(file, LocalFile):
            raise UserError(f"{file.uri} can only be read from its start; copy it here, or pack it without gzip.")
        return tar_members(Gunzip(file.path).read_at, None, file.version, gzipped=True)
    read_at = file.read_at if isinstance(file, LocalFile) else Window(file.read_at, file.size, WINDOW_BYTES).read_at
    if name.endswith(ZIP):
        return zip_members(read_at, file.size)
    return tar_members(read_at, file.size, file.version)


def _relative(file: Stored, folder: str) -> str:
    path = file.uri.removeprefix(folder)
    return key_of(unquote_to_bytes(path).decode("utf-8", "surrogateescape"))
