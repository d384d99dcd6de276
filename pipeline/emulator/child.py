"""The emulator in a process of its own, for as long as a block lasts.

The parent writes the options to the child's standard input and closes it in the end; the child writes its address to
standard output, and its counters once its input has ended. So it cannot outlive a parent that was killed.
"""

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from pipeline.emulator.app import start
from pipeline.emulator.options import EmulatorOptions
from pipeline.emulator.stats import Stats
from pipeline.errors import RunError, UserError
from pipeline.models import find_model, text_tokens

STOP_SECONDS = 10.0


@dataclass(slots=True)
class Child:
    """An emulator that listens."""

    address: str
    """`http://127.0.0.1:PORT`."""
    stats: Stats = field(default_factory=Stats)
    """What it saw; known when the block has ended."""


@contextmanager
def emulator_child(options: EmulatorOptions) -> Iterator[Child]:
    """Start it, and end it with the block. Raises RunError when it does not start. Blocks for about half a second."""
    command = [sys.executable, "-m", "pipeline.emulator.child"]
    # A session of its own: Ctrl-C means the run, which still awaits answers then.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdin
    assert process.stdout
    try:
        with suppress(BrokenPipeError):
            pickle.dump(options, process.stdin)
            process.stdin.flush()
        address = process.stdout.readline().decode().strip()
        if not address:
            raise RunError("The emulator for the rehearsal did not start; its own words stand above.")
        child = Child(address)
        yield child
        process.stdin.close()
        with suppress(EOFError, pickle.UnpicklingError):  # it died; what the run saw of that is told there
            child.stats = pickle.load(process.stdout)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _serve_until_the_input_ends(options: EmulatorOptions) -> None:
    running = await start(options)
    try:
        _load_vocabularies(options)
        print(running.endpoint, flush=True)  # noqa: T201
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    finally:
        await running.stop()
    pickle.dump(running.stats, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _load_vocabularies(options: EmulatorOptions) -> None:
    """Ahead of the first request, which would take 0.3 s for it: a jitter that no provider has."""
    for endpoint in (options, *options.endpoints.values()):
        for name in filter(None, (endpoint.model, *endpoint.deployments.values())):
            with suppress(UserError):
                text_tokens(find_model(name), "")


if __name__ == "__main__":
    asyncio.run(_serve_until_the_input_ends(pickle.load(sys.stdin.buffer)))
