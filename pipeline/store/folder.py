"""The output folder as files: every change to it, but for SQLite's own, goes through the few verbs of `Folder`.

Knows paths and durability, nothing of rows. This is the seam of the room: tests kill a run before each `step`, and an
object store would be a second class with the same verbs, where `put` is one PUT and the journal lies on a local disk.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import NightcapError, RunError, UserError

STATE = "_nightcap"
"""Everything of Nightcap's own. Readers skip names that begin with an underscore."""


@contextmanager
def explained(root: Path, denied: type[NightcapError] = RunError) -> Iterator[None]:
    """Turn what the disk refuses into one sentence: a RunError, or `denied` where permission is what is missing."""
    try:
        yield
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                raise RunError(
                    f"No space is left for {root}; make room and run again: what is recorded is kept."
                ) from error
            case errno.EACCES | errno.EPERM | errno.EROFS | errno.ENOTDIR:
                raise denied(
                    f"{root} cannot be used ({error.strerror}); give access to it or choose another."
                ) from error
            case errno.ENOENT | errno.ESTALE:
                raise RunError(f"{root} was moved or deleted during the run; put it back, or run again.") from error
        raise RunError(f"{root} cannot be read or written ({error}); run again: what is recorded is kept.") from error


def locate(out: str) -> tuple[Path, Path | None]:
    """The dataset folder of an output, and the single file that it is also merged into when `out` names one."""
    if "://" in out:
        raise UserError(f"Output {out} is not a local folder; object stores are not supported as output yet.")
    path = Path(out)
    return (path.with_suffix(""), path) if path.suffix == ".parquet" else (path, None)


class Folder:
    """One output folder: `part-*.parquet` for the readers, `_nightcap/` for ourselves."""

    def __init__(self, root: Path, step: Callable[[str, Path], None] = lambda verb, path: None) -> None:
        self.root = root
        self.state = root / STATE
        self.journal = self.state / "journal.sqlite"
        self.lock = self.state / "lock"
        self.runs = self.state / "runs"
        self.step = step
        """Called with verb and path before each change to the disk."""
        self._writing = self.state / "writing"

    def exists(self) -> bool:
        """Whether this is an output of Nightcap; parts alone are one too, they are the ledger."""
        return self.state.is_dir() or (self.root.is_dir() and bool(self.part_names()))

    def require(self) -> None:
        if not self.exists():
            raise UserError(f"{self.root} is not an output of Nightcap; give the folder of an earlier run.")

    def create(self) -> None:
        for folder in (self._writing, self.runs):
            folder.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # a parent that may be entered but not read
            self.sync(self.root.parent)
        self.sync(self.root)
        self.sync(self.state)

    def discard_unfinished(self) -> None:
        """Remove what a dead run had not finished writing. Only for the one who holds the lock."""
        for path in self._writing.iterdir():
            self.remove(path)

    def part_names(self) -> list[str]:
        """Names of the parts, oldest first."""
        # A folder that changes while it is scanned may show neither the old nor the new name of rows that move.
        names = self._scan()
        while names != (again := self._scan()):
            names = again
        return names

    def _scan(self) -> list[str]:
        with os.scandir(self.root) as entries:
            return sorted(e.name for e in entries if e.name.startswith("part-") and e.name.endswith(".parquet"))

    def put(self, path: Path, write: Callable[[Path], None]) -> None:
        """Make `path` hold what `write` writes, wholly or not at all, and durably: aside, fsync, rename, fsync."""
        inside = path.is_relative_to(self.root)
        aside = self._writing / path.name if inside else path.with_name(f".{path.name}.writing")
        try:
            self.step("write", aside)
            write(aside)
            self.step("fsync", aside)
            _fsync(aside)
            self.step("rename", path)
            aside.replace(path)
        except OSError:
            with suppress(OSError):
                aside.unlink()  # gives a full disk its room back
            raise
        self.sync(path.parent)

    def remove(self, path: Path) -> None:
        self.step("remove", path)
        path.unlink()

    def sync(self, folder: Path) -> None:
        """Make renames and new names in `folder` durable."""
        self.step("sync", folder)
        try:
            _fsync(folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some shared file systems have no fsync of folders
                raise


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
