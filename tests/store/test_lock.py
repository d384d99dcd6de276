"""One writer: who is refused, and whose lock is taken over."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.store.folders.lock import BEAT_SECONDS, STALE_SECONDS, Lock
from tests.store.rows import SetClock

OUT = "the output"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "out" / "_nightcap").mkdir(parents=True)
    return tmp_path / "out" / "_nightcap" / "lock"


def left_behind(path: Path, host: str, beat: float) -> None:
    path.write_text(json.dumps({"host": host, "pid": 4711, "since": "2026-11-21T20:47:00+00:00"}))
    os.utime(path, (beat, beat))


def test_a_second_run_is_told_who_holds_it(path: Path) -> None:
    lock = Lock(path, SetClock(), OUT)
    with pytest.raises(UserError) as refused:
        Lock(path, SetClock(), OUT)
    assert str(refused.value).startswith(OUT)
    assert f"process {os.getpid()} on {socket.gethostname()} since 2025-11-21T20:30:00+00:00" in str(refused.value)
    lock.release()
    Lock(path, SetClock(), OUT).release()


def test_a_dead_run_of_this_host_is_replaced_at_once(path: Path) -> None:
    clock = SetClock()
    left_behind(path, socket.gethostname(), clock.now)
    Lock(path, clock, OUT).release()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_lock_file_that_says_nothing_is_free(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    Lock(path, SetClock(path.stat().st_mtime), OUT).release()


def test_another_host_is_believed_while_its_heart_beats(path: Path) -> None:
    """Where the file system does not carry locks from host to host, only the heartbeat tells."""
    clock = SetClock()
    left_behind(path, "other-host", clock.now - STALE_SECONDS + 1)
    with pytest.raises(UserError, match="process 4711 on other-host"):
        Lock(path, clock, OUT)
    clock.now += 1
    Lock(path, clock, OUT).release()


def test_without_a_kernel_lock_the_heartbeat_tells_on_one_host_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(file: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    clock = SetClock()
    lock = Lock(path, clock, OUT)
    with pytest.raises(UserError):
        Lock(path, clock, OUT)
    for _ in range(10):
        clock.now += BEAT_SECONDS
        lock.beat()
    with pytest.raises(UserError):
        Lock(path, clock, OUT)
    clock.now += STALE_SECONDS
    Lock(path, clock, OUT).release()


def test_the_heart_beats_no_more_often_than_needed(path: Path) -> None:
    clock = SetClock()
    lock = Lock(path, clock, OUT)
    begun = path.stat().st_mtime
    clock.now += BEAT_SECONDS / 2
    lock.beat()
    assert path.stat().st_mtime == begun
    clock.now += BEAT_SECONDS
    lock.beat()
    assert path.stat().st_mtime == clock.now
    lock.release()


@pytest.mark.integration
def test_the_lock_of_a_killed_process_is_free(path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from pipeline.clock import SystemClock;"
        "from pipeline.store.folders.lock import Lock; lock = Lock(Path(sys.argv[1]), SystemClock(), 'out');"
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid}"):
            Lock(path, SetClock(), OUT)
        holder.kill()
    Lock(path, SetClock(), OUT).release()
