"""The processes that prepare images, as the run sees them: one is started ahead, the others when there is work for
them; one that dies is replaced.

An image on which a process dies or hangs is tried once more, alone in another; then it is a row. See `worker` for why
these are processes, and `wire` for what is said.
"""

import asyncio
import fcntl
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from pipeline.engine.plan import RunOptions
from pipeline.engine.preparing.preparer import Listed, Preparer, image_of
from pipeline.engine.preparing.wire import (
    LANE_BYTES,
    FilledLane,
    Garbled,
    Lane,
    Outcome,
    pack_images,
    take_outcome,
    to_worker,
    unpack_results,
)
from pipeline.errors import RunError
from pipeline.items import Failure, Request, Unprepared

log = logging.getLogger(__name__)

# Hops that a process has at once: while the run takes the results of one, it works on the next.
LANES = 2
START_SECONDS = 60.0
END_SECONDS = 1.0
# What Python and the linker need to find the same code; no credentials.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_", "LD_", "DYLD_", "PYTHON", "TMPDIR", "TZ", "OMP_")
# glibc would give the memory of each image back to the system, to have it cleared and mapped again for the next one:
# 6,000 page faults for 12 megapixels, a sixth of the time that preparing takes. Now it keeps up to 64 MiB.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024), "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024)}

Result = Request | Unprepared


class Processes:
    """Prepares hops of images, in as many processes as there are cores."""

    def __init__(self, count: int, max_seconds: float, max_bytes: int) -> None:
        """`max_seconds` is for one hop, `max_bytes` the memory of one process."""
        self.lanes = count * LANES
        """As many hops are worked on at once."""
        self._preparer: Preparer | None = None
        self._count = count
        self._max_seconds = max_seconds
        self._max_bytes = max_bytes
        self._workers: list[_Worker] = []
        self._free = asyncio.Semaphore(self.lanes)
        self._starting = asyncio.Lock()

    async def start_ahead(self) -> None:
        """Have one process at hand when the work comes: until it has loaded its code, the run has other things to do.

        When that fails, the first who wants something prepared is told.
        """
        with suppress(RunError):
            await self._start()

    def equip(self, preparer: Preparer) -> None:
        """What works on the images; to be called before `prepare`."""
        self._preparer = preparer
        for worker in self._workers:
            worker.equip(preparer)

    async def prepare(self, images: Sequence[Listed]) -> list[Result]:
        """One result for each image, in order. Raises RunError when the trouble is not the images'."""
        try:
            return await self._send(images)
        except _Died as death:
            if len(images) > 1:
                log.debug("Trying %d images one by one: %s", len(images), death)
            elif death.hung:
                return [_given_up(images[0], death)]
        return [await self._alone(image) for image in images]

    async def _alone(self, image: Listed) -> Result:
        try:
            return (await self._send([image]))[0]
        except _Died as death:
            return _given_up(image, death)

    async def _send(self, images: Sequence[Listed]) -> list[Result]:
        async with self._free:
            while True:
                async with self._starting:
                    worker = await self._idlest()
                try:
                    return await worker.send(images)
                except _Died as death:
                    if death.blamed:
                        raise  # else another hop was being worked on

    async def _idlest(self) -> "_Worker":
        for worker in [worker for worker in self._workers if not worker.alive]:
            await worker.ended()
            self._workers.remove(worker)
        idlest = min(self._workers, key=lambda worker: worker.busy, default=None)
        if idlest and (idlest.busy < LANES or len(self._workers) == self._count):
            return idlest
        assert self._preparer is not None
        worker = await self._start()
        worker.equip(self._preparer)
        return worker

    async def _start(self) -> "_Worker":
        worker = _Worker(self._max_seconds, self._max_bytes)
        self._workers.append(worker)  # before it is started: a start that is cancelled is ended like all others
        await worker.start()
        return worker

    async def close(self) -> None:
        """What the processes are at is not waited for: nothing of it has been sent."""
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*(worker.ended() for worker in self._workers))


@asynccontextmanager
async def open_processes(count: int, options: RunOptions) -> AsyncIterator[Processes]:
    """Processes for one run."""
    processes = Processes(count, options.max_prepare_seconds, options.max_prepare_bytes)
    try:
        yield processes
    finally:
        await processes.close()


class _Died(Exception):
    """A process ended before it answered."""

    def __init__(self, how: str, *, blamed: bool, hung: bool) -> None:
        super().__init__(how)
        self.blamed = blamed
        """Whether it was this hop that it worked on."""
        self.hung = hung


def _given_up(item: Listed, death: _Died) -> Unprepared:
    return Unprepared(image_of(item), Failure("undecodable", f"The image cannot be decoded: {death}"))


@dataclass(frozen=True, slots=True, eq=False)
class _Hop:
    images: Sequence[Listed]
    lane: int
    answer: asyncio.Future[list[Result]]


class _Worker(asyncio.Protocol):
    """One process, and the hops that it has not answered."""

    def __init__(self, max_seconds: float, max_bytes: int) -> None:
        self._max_seconds = max_seconds
        self._max_bytes = max_bytes
        self._hops: deque[_Hop] = deque()
        self._lanes = list(range(LANES))
        self._received = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._hung = self._garbled = False
        self._ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._transport: asyncio.Transport | None = None
        self.alive = False

    @property
    def busy(self) -> int:
        return LANES - len(self._lanes)

    @property
    def _seconds(self) -> float:
        """That it may take for what it is at."""
        if not self._ready:
            return START_SECONDS
        return self._max_seconds * max(len(image_of(item).members) or 1 for item in self._hops[0].images)

    async def start(self) -> None:
        try:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = self._spawn(theirs)
        except OSError as error:
            raise RunError(f"No process for images could be started: {error}") from error
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_unix_connection(lambda: self, sock=self._socket)
        self.alive = True

    def equip(self, preparer: Preparer) -> None:
        if self._transport and self.alive:  # else it is replaced before anything is sent to it
            self._transport.writelines(to_worker(preparer))

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        file = _unnamed_file(LANES * LANE_BYTES)
        try:
            self._memory = mmap.mmap(file, 0)
            shared = (theirs.fileno(), file)
            return subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "pipeline.engine.preparing.worker",
                    *map(str, shared),
                    str(self._max_bytes),
                ],
                env=_environment(),
                pass_fds=shared,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the run
            )
        finally:
            os.close(file)

    def send(self, images: Sequence[Listed]) -> asyncio.Future[list[Result]]:
        """The results; the future raises _Died, or RunError when the trouble is not the images'."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Result]] = loop.create_future()
        transport = self._transport
        if not self.alive or transport is None:
            answer.set_exception(_Died("The process is gone.", blamed=False, hung=False))
            return answer
        hop = _Hop(images, self._lanes.pop(), answer)
        with self._room(hop) as room:
            lane = Lane(room)
            packed = pack_images(images, lane)
        transport.writelines(to_worker((hop.lane, packed), lane.beside))
        self._hops.append(hop)
        if len(self._hops) == 1:
            self._watch()
        return answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            while message := take_outcome(self._received, self._max_bytes):
                if self._ready:
                    self._answered(*message)
                else:
                    self._ready = True
                    self._watch()
        except Garbled as error:
            log.debug("A process for images sent %s", error)
            self._garbled = True
            self._abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        if self._timer:
            self._timer.cancel()
        how = "" if all(hop.answer.done() for hop in self._hops) else self._how_it_ended()
        for number, hop in enumerate(self._hops):
            if hop.answer.done():
                continue
            if self._ready:
                hop.answer.set_exception(_Died(how, blamed=number == 0, hung=self._hung))
            else:
                hop.answer.set_exception(RunError(f"No process for images could be started: {how}"))
        self._hops.clear()

    def kill(self) -> None:
        if self._process:
            self._process.kill()

    async def ended(self) -> None:
        """Until it is no more; one that hangs in a system call is left to the operating system."""
        if self._transport:
            self._transport.close()
        elif self._socket:
            self._socket.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self._process and self._process.poll() is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)

    def _answered(self, outcome: Outcome, beside: bytes) -> None:
        if not self._hops:
            raise Garbled("an answer that nobody waits for")
        hop = self._hops[0]  # until its answer is known to be one: else it is to blame
        results = [] if outcome.run_error is not None else self._results(hop, outcome, beside)
        self._hops.popleft()
        self._watch()
        for level, text in outcome.log:
            log.log(level, "%s", text)
        if not hop.answer.done():  # else the run is being abandoned
            if outcome.run_error is not None:
                hop.answer.set_exception(RunError(outcome.run_error))
            else:
                hop.answer.set_result(results)
        self._lanes.append(hop.lane)

    def _results(self, hop: _Hop, outcome: Outcome, beside: bytes) -> list[Result]:
        with self._room(hop) as room:
            return unpack_results(hop.images, outcome.results, FilledLane(room, beside))

    def _room(self, hop: _Hop) -> memoryview:
        return memoryview(self._memory)[hop.lane * LANE_BYTES : (hop.lane + 1) * LANE_BYTES]

    def _watch(self) -> None:
        """From now on, the time of the hop that is being worked on."""
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._hangs) if self._hops else None

    def _hangs(self) -> None:
        self._hung = True
        self._abandon()

    def _abandon(self) -> None:
        """Killed, and not waited for: one that hangs in a system call, as on a dead network drive, may never die."""
        self.kill()
        assert self._transport is not None
        self._transport.abort()

    def _how_it_ended(self) -> str:
        if self._hung:
            return f"it took longer than {self._seconds:g} s."
        if self._garbled:
            return "the process sent something else than its result."
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(END_SECONDS)  # its socket is closed: it is all but gone
            if code == -signal.SIGKILL:
                return "the process was killed, probably because memory was short."
            if code < 0:
                return f"the decoder crashed ({signal.Signals(-code).name})."
            return f"the process ended with code {code}."
        return "the process closed its connection."


def _environment() -> dict[str, str]:
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    return passed_on | _KEEP_MEMORY | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def _unnamed_file(size: int) -> int:
    """The descriptor of memory that two processes can share."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as named:
            named.truncate(size)
            return os.dup(named.fileno())
    file = os.memfd_create("nightcap", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, size)
    # Who reads what the other has cut off is killed by the system: no process may do that to the run.
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return file
