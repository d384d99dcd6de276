"""Servers for tests: the emulator in this process or in its own, and a vision server that is not ours."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.clock import Clock
from pipeline.emulator.app import Running, start
from pipeline.emulator.options import EmulatorOptions

REPOSITORY = Path(__file__).parents[2]
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
START_SECONDS = 60.0
STOP_SECONDS = 10.0


@asynccontextmanager
async def emulate(options: EmulatorOptions | None = None, clock: Clock | None = None) -> AsyncIterator[Running]:
    """The emulator on a free port of 127.0.0.1, in this event loop."""
    running = await start(options or EmulatorOptions(), clock)
    try:
        yield running
    finally:
        await running.stop()


@dataclass(frozen=True, slots=True)
class Process:
    """A server in a process of its own."""

    endpoint: str
    """`http://127.0.0.1:PORT`."""
    pid: int

    @property
    def base_url(self) -> str:
        return f"{self.endpoint}/v1"


@contextmanager
def emulate_process(*arguments: str) -> Iterator[Process]:
    """`nightcap emulate` with these arguments, on a free port."""
    with launch([sys.executable, "-m", "pipeline", "emulate", "--port", "0", *arguments]) as process:
        yield process


@contextmanager
def llama_server(folder: Path) -> Iterator[Process]:
    """llama.cpp's own server (package xllamacpp) with a tiny random vision model, written to `folder`.

    In a process of its own, so that a crash of native code is a failed test and not the end of all tests.
    """
    with launch([sys.executable, "-m", "tests.helpers.tiny_vlm", str(folder)]) as process:
        yield process


@contextmanager
def launch(command: Sequence[str]) -> Iterator[Process]:
    """Start a server that prints its address, and stop it in the end."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield Process(_await_address(server, log.fileno()), server.pid)
        finally:
            server.terminate()
            try:
                server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _await_address(server: subprocess.Popen[bytes], log: int) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        ended = server.poll() is not None
        text = os.pread(log, 1_000_000, 0).decode(errors="replace")
        if found := ADDRESS.search(text):
            return found[0]
        if ended or time.monotonic() > deadline:
            raise RuntimeError(f"{' '.join(map(str, server.args))} did not start:\n{text}")  # type: ignore[arg-type]
        time.sleep(0.02)
