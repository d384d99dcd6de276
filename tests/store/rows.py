"""Rows, a clock to set, and a disk that dies on order: what the tests of the store share."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from pipeline.clock import Timer
from pipeline.errors import UserError
from pipeline.items import Record, SourceImage
from pipeline.store.dataset import Store
from pipeline.store.folders.local import LocalFolder
from pipeline.store.options import StoreOptions

REQUEST = "request-1"
RUN = "20261121T204700Z-1a2b3c"


class SetClock:
    """Time that passes only when a test says so."""

    def __init__(self, now: float = 1_763_757_000.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the store never sleeps")

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        raise AssertionError("the store has no loop")


def row(key: str, version: str = "v1", **changes: Any) -> Record:
    record = Record(
        key=key,
        uri=f"file:///images/{key}",
        source_version=version,
        status="captioned",
        request_hash=REQUEST,
        run_id=RUN,
        provider="openai",
        model="gpt-4o",
        caption=f"caption of {key} {version}",
        width=640,
        height=480,
        prompt_tokens=100,
        completion_tokens=20,
        total_tokens=120,
        cost_usd=Decimal("0.000450000"),
        attempts=1,
        started_at=datetime(2026, 11, 21, 20, 47, tzinfo=UTC),
        finished_at=datetime(2026, 11, 21, 20, 47, 1, 500, tzinfo=UTC),
    )
    return replace(record, **changes)


def image(key: str, version: str = "v1") -> SourceImage:
    return SourceImage(key, f"file:///images/{key}", version)


def store(root: Path, *, step: "Killer | None" = None, run_id: str = RUN, **options: Any) -> Store:
    """A store on `root`, with a hook that may kill it."""
    folder = LocalFolder(root) if step is None else LocalFolder(root, step)
    with folder.explained(denied=UserError):
        return Store(folder, StoreOptions(**options), SetClock(), run_id, REQUEST)


class Killed(BaseException):
    """The process died here."""


class Killer:
    """Counts changes to the disk and kills before the one with number `at`.

    With `power_loss` everything that was not made durable by then is taken back: contents without fsync are gone, and
    renames and removals in a folder that was not fsynced after them did not happen.
    """

    def __init__(self, at: int | None = None, *, power_loss: bool = False) -> None:
        self.at = at
        self.steps = 0
        self._power_loss = power_loss
        self._last: tuple[str, Path] | None = None
        self._unsynced: set[Path] = set()
        self._undo: dict[Path, list[Callable[[], object]]] = {}
        self._aside: Path | None = None

    def again(self, at: int, *, power_loss: bool) -> Self:
        """Die once more; the disk still remembers what is not durable."""
        self.at, self.steps, self._power_loss = at, 0, power_loss
        return self

    def __call__(self, verb: str, path: Path) -> None:
        if self.at is not None and self.steps >= self.at:
            raise Killed
        self._note_done()
        self._last = (verb, path)
        if verb == "remove":
            content = path.read_bytes()
            self._undo.setdefault(path.parent, []).append(lambda: path.write_bytes(content))
        self.steps += 1
        if self.steps == self.at:
            self._last = None
            if self._power_loss:
                self._lose()
            raise Killed

    def _note_done(self) -> None:
        """The change that was announced last has happened by now."""
        match self._last:
            case ("write", path):
                self._unsynced.add(path)
                self._aside = path
            case ("fsync", path):
                self._unsynced.discard(path)
            case ("rename", path):
                aside = self._aside
                assert aside is not None
                if aside in self._unsynced:
                    self._unsynced.add(path)
                self._undo.setdefault(path.parent, []).append(lambda: path.exists() and path.replace(aside))
            case ("sync", path):
                self._undo.pop(path, None)
        self._last = None

    def _lose(self) -> None:
        for path in self._unsynced:
            if path.exists():
                path.write_bytes(b"")
        for undo in self._undo.values():
            for step in reversed(undo):
                step()
        self._unsynced.clear()
        self._undo.clear()


def abandon(dead: Store) -> None:
    """What the kernel does for a process that died: files are closed, nothing is committed."""
    dead._journal._connection.close()
    with suppress(OSError):
        os.close(dead._lock._file)
