"""One writer for one output: a locked file that says who holds it. Knows files and time, nothing of rows.

The kernel's lock decides, and frees itself when its process dies. Some shared file systems do not carry it from host to
host; so the file also names its holder, and its modification time is a heartbeat. A name that a dead run left behind is
ignored when the kernel's lock is free and it was this host, or when its heart stopped.
"""

import fcntl
import json
import os
import socket
from pathlib import Path

from pipeline.clock import Clock, utc
from pipeline.errors import UserError

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
"""Six missed beats. A host that crashed is replaced after this long at the latest."""


class Lock:
    """Held from creation to `release`."""

    def __init__(self, path: Path, clock: Clock, output: str) -> None:
        """`output` is what it guards, for people. Raises UserError when another run holds it."""
        self._clock = clock
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take(output)
        except BaseException:
            os.close(self._file)
            raise

    def _take(self, output: str) -> None:
        kernel = _flock(self._file)
        holder = _read(self._file)
        host = socket.gethostname()
        fresh = self._clock.time() - os.fstat(self._file).st_mtime < STALE_SECONDS
        if kernel is False or (holder and fresh and (kernel is None or holder.get("host") != host)):
            remedy = (
                "wait for it" if kernel is False else f"wait {STALE_SECONDS:.0f} s if that host died, for it if not"
            )
            raise UserError(
                f"{output} is being written by another run ({_describe(holder)}); {remedy}, or choose another output."
            )
        os.ftruncate(self._file, 0)
        mine = {"host": host, "pid": os.getpid(), "since": utc(self._clock.time()).isoformat(timespec="seconds")}
        os.pwrite(self._file, json.dumps(mine).encode(), 0)
        self._beat()

    def beat(self) -> None:
        """Show that this run is alive. Cheap; to be called at least every `BEAT_SECONDS`."""
        if self._clock.monotonic() >= self._next_beat:
            self._beat()

    def _beat(self) -> None:
        now = self._clock.time()
        os.utime(self._file, (now, now))
        self._next_beat = self._clock.monotonic() + BEAT_SECONDS

    def release(self) -> None:
        # The file stays: removing it would free a name that another run may be locking at this moment.
        try:
            os.ftruncate(self._file, 0)
        finally:
            os.close(self._file)


def _flock(file: int) -> bool | None:
    """Whether the kernel's lock was free; None when this file system has none."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _read(file: int) -> dict[str, object]:
    try:
        holder = json.loads(os.pread(file, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _describe(holder: dict[str, object]) -> str:
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')} since {holder.get('since', '?')}"
