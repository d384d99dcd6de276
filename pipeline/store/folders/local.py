"""An output on a disk: every change to it, but for SQLite's own, goes through the few verbs of `LocalFolder`.

Knows paths and durability, nothing of rows. Tests kill a run before each `step`.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from pipeline.clock import Clock
from pipeline.errors import NightcapError, RunError, UserError
from pipeline.store.folders.folder import JOURNAL, RAW, RUNS, STATE, is_part
from pipeline.store.folders.lock import Lock

Step = Callable[[str, Path], None]
"""Called with verb and path before each change to the disk."""


def no_step(verb: str, path: Path) -> None:
    """Nothing watches."""


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


class LocalFolder:
    """A folder on a disk, perhaps with the single file beside it that it is also merged into."""

    def __init__(self, root: Path, step: Step = no_step, single_file: Path | None = None) -> None:
        self.root = root
        self.step = step
        self.journal = root / STATE / JOURNAL
        self.merged = single_file.name if single_file else None
        self.last_sequence = 0
        self.apart = False
        self.hurry = False
        self._single_file = single_file
        self._writing = root / STATE / "writing"

    def __str__(self) -> str:
        return str(self.root)

    def exists(self) -> bool:
        return (self.root / STATE).is_dir() or (self.root.is_dir() and bool(self.part_names()))

    def refuse_foreign(self) -> None:
        root, single_file = self.root, self._single_file
        if single_file and single_file.is_dir():
            raise UserError(f"Output {single_file} is a folder; choose another name.")
        if root.exists() and not root.is_dir():
            raise UserError(f"Output {root} is a file; choose another name.")
        if self.exists():
            return
        if single_file and single_file.exists():
            raise UserError(f"Output {single_file} exists and was not written by Nightcap; choose another name.")
        if root.is_dir() and any(not path.name.startswith(".") for path in root.iterdir()):
            raise UserError(f"Output {root} holds other files; choose a new or an empty folder.")

    def try_writing(self) -> None:
        try_writing(self.root)

    def create(self) -> None:
        for folder in (self._writing, self.root / RUNS):
            folder.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # a parent that may be entered but not read
            sync(self.root.parent, self.step)
        sync(self.root, self.step)
        sync(self.root / STATE, self.step)

    def lock(self, clock: Clock, run_id: str) -> Lock:
        return Lock(self.root / STATE / "lock", clock, str(self))

    def discard_unfinished(self) -> None:
        for path in self._writing.iterdir():
            self.step("remove", path)
            path.unlink()

    def part_names(self) -> list[str]:
        # A folder that changes while it is scanned may show neither the old nor the new name of rows that move.
        names = self._scan()
        while names != (again := self._scan()):
            names = again
        return names

    def _scan(self) -> list[str]:
        with os.scandir(self.root) as entries:
            found = [entry for entry in entries if is_part(entry.name)]
        for entry in found:
            if entry.is_symlink() and not os.path.exists(entry.path):  # as git-annex and DVC leave them
                raise RunError(f"{entry.path} is a link to a file that is not there; fetch it first.")
        return sorted(entry.name for entry in found)

    def run_names(self) -> list[str]:
        return sorted(f"{RUNS}/{path.name}" for path in (self.root / RUNS).glob("*.json"))

    def raw_sizes(self) -> dict[str, int]:
        return {f"{RAW}/{path.name}": path.stat().st_size for path in sorted((self.root / RAW).glob("*"))}

    def settled(self, name: str) -> bool:
        if not self._path(name).exists():
            return False
        sync(self._path(name).parent, self.step)  # a run may have died between the rename and this
        return True

    def open(self, name: str) -> Path:
        return self._path(name)

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        return [self._path(name).read_bytes() for name in names]

    def put(self, name: str, write: Callable[[Path], None]) -> None:
        # Aside, fsync, rename, fsync.
        path = self._path(name)
        aside = path.with_name(f".{path.name}.writing") if name == self.merged else self._writing / path.name
        if not path.parent.exists():
            self.step("create", path.parent)
            path.parent.mkdir()
            sync(path.parent.parent, self.step)
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
        sync(path.parent, self.step)

    def remove(self, name: str) -> None:
        path = self._path(name)
        self.step("remove", path)
        path.unlink()

    def explained(self, denied: type[NightcapError] = RunError) -> AbstractContextManager[None]:
        return explained(self.root, denied)

    def _path(self, name: str) -> Path:
        return self._single_file if self._single_file and name == self.merged else self.root / name


def sync(folder: Path, step: Step) -> None:
    """Make renames and new names in `folder` durable."""
    step("sync", folder)
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


def try_writing(folder: Path) -> None:
    """Raises OSError when no file can be made in `folder`, or where it would be made; leaves nothing behind."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    with tempfile.TemporaryFile(dir=folder):
        pass
