"""A folder with all its subfolders, as a stream: one folder's names are in memory at a time, never all of them."""

import logging
import os
from collections.abc import Iterator

from pipeline.errors import UserError
from pipeline.items import SourceImage
from pipeline.sources.files import LocalFiles, is_plain, key_of, listed, quoted, uri_of
from pipeline.sources.globs import compiled
from pipeline.sources.names import is_included
from pipeline.sources.options import SourceOptions

log = logging.getLogger(__name__)

OUTPUT = "_nightcap"
"""The folder in which a run keeps its own; what holds it is a run's output, not a source."""

Identity = tuple[int, int]
"""Device and inode of a folder."""
Names = list[str]


class Folder(LocalFiles):
    """Images below `root`, in each folder the files by name, then the subfolders by name.

    Links are followed, except to a folder that they lie in. Key: the path from `root`. A subfolder that cannot be read
    is listed itself, with a key that ends in `/`, so that it ends as a failed row instead of being missed in silence.
    """

    def __init__(self, root: str, options: SourceOptions, glob: str | None = None) -> None:
        """`glob`, relative to `root`, takes the place of `options.include`."""
        super().__init__(options.max_bytes)
        self._root = os.path.abspath(root)
        self._hidden = options.hidden
        self._is_included = is_included(options, glob)
        self._is_excluded = compiled(options.exclude).fullmatch if options.exclude else None
        self._depth = glob.count("/") - 1 if glob and "**" not in glob else None
        try:
            os.scandir(self._root).close()
        except OSError as error:
            raise UserError(f"The folder {root!r} cannot be read: {error.strerror}.") from error

    def list(self) -> Iterator[SourceImage]:
        pending: list[tuple[str, tuple[Identity, ...]]] = [("", ())]
        while pending:
            folder, ancestors = pending.pop()
            path = os.path.join(self._root, folder)
            try:
                status = os.stat(path)
                identity = (status.st_dev, status.st_ino)
                if identity in ancestors:
                    continue
                files, folders = self._entries(path, folder)
            except OSError as error:
                if not folder:
                    raise UserError(f"The folder {path!r} cannot be read: {error.strerror}.") from error
                log.warning("The folder %s cannot be listed: %s.", path, error.strerror)
                yield _unlisted(path, folder)
                continue
            yield from _images(path, folder, files)
            if self._depth is None or folder.count("/") < self._depth:
                pending.extend((f"{folder}{name}/", (*ancestors, identity)) for name in reversed(folders))

    def _entries(self, path: str, folder: str) -> tuple[Names, Names]:
        """Names of the files and of the subfolders in `folder` (relative, ends in `/`) that are wanted, sorted."""
        files: Names = []
        folders: Names = []
        is_included, is_hidden_wanted = self._is_included, self._hidden
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == "." and not is_hidden_wanted:
                    continue
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link that cannot be followed: listed as a file, it fails when it is read
                    is_folder = False
                if is_folder:
                    folders.append(name)
                elif is_included(folder + name):
                    files.append(name)
        if OUTPUT in folders:
            if folder:
                log.warning("%s is a run's output and is left out; name it as a source if it holds images.", path)
                return [], []
            folders.remove(OUTPUT)
        if self._is_excluded is not None:
            files = [name for name in files if not self._is_excluded(folder + name)]
            folders = [name for name in folders if not self._is_excluded(folder + name)]
        files.sort()
        folders.sort()
        return files, folders


def _images(path: str, folder: str, names: Names) -> Iterator[SourceImage]:
    key = _key_prefix(folder)
    base = os.path.join(path, "")
    uri = uri_of(base)
    for name in names:
        if is_plain(name):  # nearly all; saves a tenth of the listing's time
            yield listed(base + name, key + name, uri + name)
        else:
            yield listed(base + name, key + key_of(name), uri + quoted(name))


def _unlisted(path: str, folder: str) -> SourceImage:
    """Stands for a folder that cannot be listed; a change of its permissions or content makes another version."""
    try:
        version = str(os.stat(path).st_ctime_ns)
    except OSError:
        version = "unreadable"
    return SourceImage(_key_prefix(folder), uri_of(path), version)


def _key_prefix(folder: str) -> str:
    return "".join(f"{key_of(part)}/" for part in folder.split("/")[:-1])
