"""One writer for one output in an object store: an object that names its holder, replaced only by conditional puts.

Every put says which content it replaces, so that of two runs that reach for the lock only one gets it, and a holder
whose lock was taken over learns it at its next beat: a run beats before it changes the output. A lock is taken over
when its process is dead, which only the same machine can tell, or when its heart stopped.
"""

import json
import logging
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from pipeline.clock import Clock, utc
from pipeline.errors import NightcapError, RunError, Unavailable, UserError
from pipeline.store.folders.bucket import Bucket, Conflict, Found, Gone, Unconditional, Version

BEAT_SECONDS = 20.0
"""A PUT each, 1,440 in a night of eight hours: below one cent."""
STALE_SECONDS = 120.0
"""Six missed beats. A machine that crashed is replaced after this long at the latest."""

_TRIES = 5

log = logging.getLogger(__name__)


class RemoteLock:
    """Held from creation to `release`."""

    def __init__(self, bucket: Bucket, key: str, clock: Clock, run_id: str, output: str) -> None:
        """Raises UserError when another run holds it."""
        self._bucket = bucket
        self._key = key
        self._clock = clock
        self._output = output
        self._token = secrets.token_hex(8)
        self._holder: dict[str, object] = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": utc(clock.time()).isoformat(timespec="seconds"),
            "run_id": run_id,
            "processes": _process_table(),
            "token": self._token,
        }
        self._conditional = True
        self._lost: str | None = None
        self._version: Version | None = None
        self._take()

    def beat(self) -> None:
        """Show that this run is alive, where the last time is long ago.

        Raises RunError when another run took the lock, Unavailable when the store does not answer.
        """
        if self._lost is None and self._clock.monotonic() >= self._next_beat:
            try:
                self._write()
            except _TakenOver as other:
                self._lost = (
                    f"{self._output} was taken over by another run ({other}) while this one could not reach it;"
                    " what is recorded is kept: run again when that one has ended."
                )
        if self._lost is not None:
            raise RunError(self._lost)

    def release(self) -> None:
        # The object stays: whoever deletes it could delete the lock of the next run.
        self._holder = {}
        with suppress(NightcapError, _TakenOver):  # then it is stale after a while
            if self._lost is None:
                self._write()

    def _take(self) -> None:
        found = self._read()
        if found is not None:
            self._refuse_if_held(found)
            self._version = found.version
        try:
            self._write(taking=True)
        except _TakenOver as other:
            raise UserError(f"{self._output} is being written by another run ({other}); wait for it.") from None
        if self._conditional:
            self._check_conditions()

    def _refuse_if_held(self, found: Found) -> None:
        holder = _read_holder(found)
        fresh = self._clock.time() - found.modified < STALE_SECONDS
        if holder and fresh and not _is_dead(holder):
            raise UserError(
                f"{self._output} is being written by another run ({_describe(holder)}); wait {STALE_SECONDS:.0f} s if"
                " that machine died, for the run if not, or choose another output."
            )

    def _check_conditions(self) -> None:
        """Some stores take the condition of a put and ignore it."""
        try:
            self._bucket.put_if(self._key, self._document(), None)
        except Conflict:
            return
        except Unconditional:
            pass
        self._do_without()

    def _do_without(self) -> None:
        self._conditional = False
        log.warning(
            "%s: this store has no conditional writes, so nothing keeps a run of another machine away; let only one"
            " run at a time.",
            self._output,
        )

    def _write(self, *, taking: bool = False) -> None:
        if self._conditional:
            try:
                self._replace()
            except Unconditional:
                self._do_without()
        if not self._conditional:
            if not taking and (found := self._read()):
                self._require_mine(found)
            self._bucket.put(self._key, self._document())
        self._next_beat = self._clock.monotonic() + BEAT_SECONDS

    def _replace(self) -> None:
        for _ in range(_TRIES):
            try:
                self._version = self._bucket.put_if(self._key, self._document(), self._version)
                return
            except Conflict:
                # An earlier put may be done and only its answer lost: then the lock is still ours.
                found = self._read()
                self._version = None if found is None else self._require_mine(found).version
        raise Unavailable(f"{self._output} cannot be locked: its store refuses every conditional write.")

    def _require_mine(self, found: Found) -> Found:
        holder = _read_holder(found)
        if holder.get("token") != self._token:
            raise _TakenOver(_describe(holder))
        return found

    def _read(self) -> Found | None:
        with suppress(Gone):
            return self._bucket.get(self._key)
        return None

    def _document(self) -> bytes:
        beat = {"beat": utc(self._clock.time()).isoformat(timespec="seconds")}
        return json.dumps(self._holder and self._holder | beat).encode()


class _TakenOver(Exception):
    """By whom."""


def _read_holder(found: Found) -> dict[str, object]:
    try:
        holder = json.loads(found.data)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _describe(holder: dict[str, object]) -> str:
    if not holder:
        return "one that has ended"
    return f"process {holder.get('pid', '?')} on {holder.get('host', '?')} since {holder.get('since', '?')}"


def _process_table() -> str | None:
    """What the numbers of processes belong to: one boot of one machine, one container. None: not known here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _is_dead(holder: dict[str, object]) -> bool:
    """Whether the holder was a process of ours that is no more; False when that cannot be told."""
    pid, table = holder.get("pid"), _process_table()
    if table is None or holder.get("processes") != table or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False
