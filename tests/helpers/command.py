"""The installed command as a user runs it: a process of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Command:
    """`nightcap ARGUMENTS`, started; await `ended()`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Without effect on a command that has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def line(self) -> str:
        """The next line that it prints on standard error; empty when there is none left."""
        assert self._process.stderr
        return (await self._process.stderr.readline()).decode()

    async def ended(self) -> Ended:
        """What was read by `line` is not in it."""
        out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Ended(self._process.returncode, out.decode(), err.decode())


async def start_nightcap(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Command:
    """Start the command; `env` is added to this process's environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipeline", *map(str, arguments)),
        env={**os.environ, **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Command(process)


async def nightcap(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run the command to its end."""
    return await (await start_nightcap(*arguments, env=env)).ended()
