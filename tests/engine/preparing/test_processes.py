"""Real processes: what they answer, and what happens when a decoder hangs, crashes or fills the memory."""

import asyncio
import gc
import os
import pickle
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from pipeline.engine.plan import RunOptions
from pipeline.engine.preparing.preparer import Fetched, Preparer
from pipeline.engine.preparing.processes import LANES, Processes, open_processes
from pipeline.engine.preparing.wire import HEADER, LANE_BYTES, Lane, Outcome, Ready, pack_results, to_run
from pipeline.errors import RunError
from pipeline.images import ImageOptions
from pipeline.items import Prepared, Request, SourceImage, Unprepared
from tests.engine.making import image, request
from tests.helpers.pictures import encoded, photo

pytestmark = pytest.mark.integration

PICTURE = encoded(photo(96, 64))


class Trouble:
    """A reader whose images do what their keys say. Stands at the top of a module, so that it can be pickled."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    def read(self, image: SourceImage) -> bytes:
        with (self._notes / image.key.replace("/", "_")).open("a") as note:
            note.write(f"{os.getpid()}\n")
        kind = image.key.partition("-")[0]
        misbehave(kind, image.key.partition("-")[2], self._notes)
        if kind == "balloon":
            return bytes(8 * 1024**3)
        if kind == "gone":
            raise RunError("The disk is gone.")
        if kind == "key":
            return b"".join(name.encode() for name in os.environ if "KEY" in name) or PICTURE
        if kind == "large":
            return PICTURE + bytes(20 * 1024 * 1024)
        return PICTURE


def misbehave(kind: str, how: str, notes: Path) -> None:
    if kind == "hang":
        time.sleep(60)
    if kind == "orphan":
        if not os.fork():
            with (notes / "pid").open("w") as note:
                note.write(str(os.getpid()))
        time.sleep(60)
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "exit":
        os._exit(3)
    if kind == "taken":
        take_over(how)


def take_over(how: str) -> None:
    """What code in a hostile image may do to the run: cut off the shared memory, or send what it likes."""
    numbers = filter(os.path.exists, (f"/proc/self/fd/{number}" for number in range(64)))
    open_files = {os.readlink(name).partition(":")[0]: int(Path(name).name) for name in numbers}
    if how == "memory":
        os.ftruncate(open_files["/memfd"], 0)
    [ready] = pack_results([request(body=b"x")], Lane(memoryview(bytearray(1))))
    assert isinstance(ready, Ready)
    killer = pickle.dumps(Killer(os.getppid()))
    sent = {
        "pickle": HEADER.pack(len(killer), 0) + killer,
        "length": HEADER.pack(10, 2**60),
        "beyond": b"".join(to_run(Outcome([structs.replace(ready, body_bytes=LANE_BYTES + 1)]))),
    }[how]
    os.write(open_files["socket"], sent)
    time.sleep(60)


class Killer:
    """Ends a process by being unpickled."""

    def __init__(self, victim: int) -> None:
        self._victim = victim

    def __reduce__(self) -> tuple[object, tuple[int, int]]:
        return os.kill, (self._victim, signal.SIGKILL)


def same(width: int, height: int) -> tuple[int, int]:
    return width, height


def body(prepared: Prepared, prompt: str | None) -> bytes:
    return b"<" + prepared.data + b">"


def tokens(width: int, height: int) -> int:
    return 85


def text_tokens(own: str | None, labels: Sequence[str]) -> int:
    return 15


@asynccontextmanager
async def processes(
    notes: Path, count: int = 1, seconds: float = 30, *, ahead: bool = False
) -> AsyncIterator[Processes]:
    preparer = Preparer(Trouble(notes).read, ImageOptions(), same, body, tokens, text_tokens)
    options = RunOptions(max_prepare_seconds=seconds, max_prepare_bytes=2 * 1024**3)
    async with open_processes(count, options) as opened:
        if ahead:
            await opened.start_ahead()
        opened.equip(preparer)
        yield opened


def tries(notes: Path, key: str) -> int:
    return len((notes / key).read_text().splitlines())


async def test_results_in_order_and_bodies_whole(tmp_path: Path) -> None:
    names = ["a", "large-b", "c"]
    async with processes(tmp_path) as opened:
        made = await opened.prepare([image(name) for name in names])
        assert [result.image.key for result in made] == names
        for result, size in zip(made, (0, 20 * 1024 * 1024, 0), strict=True):
            assert isinstance(result, Request)
            assert result.body == b"<" + PICTURE + bytes(size) + b">"
            assert (result.predicted_image_tokens, result.predicted_prompt_tokens) == (85, 100)


async def test_what_was_read_already_is_not_read_again(tmp_path: Path) -> None:
    async with processes(tmp_path) as opened:
        [small, large] = await opened.prepare(
            [Fetched(image("hang"), (PICTURE,)), Fetched(image("hang"), (PICTURE + bytes(6 * 1024 * 1024),))]
        )
    assert isinstance(small, Request)
    assert small.body == b"<" + PICTURE + b">"
    assert isinstance(large, Request)
    assert len(large.body) == len(PICTURE) + 6 * 1024 * 1024 + 2
    assert not list(tmp_path.iterdir())


async def test_many_hops_at_once_are_not_mixed_up(tmp_path: Path) -> None:
    async with processes(tmp_path, count=2) as opened:
        hops = [[image(f"{hop}-{number}") for number in range(hop % 5 + 1)] for hop in range(40)]
        made = await asyncio.gather(*(opened.prepare(hop) for hop in hops))
    assert [[result.image for result in results] for results in made] == hops


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("hang", "it took longer than 1 s"),
        ("crash", "the decoder crashed (SIGSEGV)"),
        ("exit", "the process ended with code 3"),
    ],
)
async def test_only_the_image_that_brings_a_process_down_has_no_request(tmp_path: Path, kind: str, said: str) -> None:
    async with processes(tmp_path, count=2, seconds=1 if kind == "hang" else 30) as opened:
        hops = [["a", f"{kind}-b", "c"], ["d", "e"], ["f"], ["g", "h"]]
        made = await asyncio.gather(*(opened.prepare([image(name) for name in hop]) for hop in hops))
        results = {result.image.key: result for of_hop in made for result in of_hop}
        assert list(results) == [name for hop in hops for name in hop]
        broken = results.pop(f"{kind}-b")
        assert isinstance(broken, Unprepared)
        assert broken.failure.reason == "undecodable"
        assert said in broken.failure.message
        assert all(isinstance(result, Request) for result in results.values())
        assert tries(tmp_path, f"{kind}-b") == 2, "once among others, once alone"
        [again] = await opened.prepare([image("i")])
        assert isinstance(again, Request), "another process has taken its place"


async def test_a_process_that_cannot_be_killed_is_not_waited_for(tmp_path: Path) -> None:
    """As in a system call on a dead network drive: here, a child of it keeps the connection open."""
    async with asyncio.timeout(30), processes(tmp_path, seconds=1) as opened:
        [broken] = await opened.prepare([image("orphan")])
        [fine] = await opened.prepare([image("a")])
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert isinstance(broken, Unprepared)
    assert "it took longer than 1 s" in broken.failure.message
    assert isinstance(fine, Request)


@pytest.mark.parametrize("how", ["pickle", "length", "beyond", "memory"])
async def test_a_process_that_was_taken_over_costs_its_image_and_nothing_else(tmp_path: Path, how: str) -> None:
    async with asyncio.timeout(100), processes(tmp_path) as opened:  # a start takes seconds on a busy machine
        broken, fine = await opened.prepare([image(f"taken-{how}"), image("a")])
    assert isinstance(fine, Request)
    assert isinstance(broken, Unprepared)
    assert broken.failure.reason == "undecodable"
    assert ("Operation not permitted" if how == "memory" else "something else") in broken.failure.message


async def test_an_answer_that_nobody_waits_for_ends_its_process(tmp_path: Path) -> None:
    async with processes(tmp_path) as opened:
        await opened.prepare([image("a")])
        [worker] = opened._workers
        worker.data_received(b"".join(to_run(Outcome())))
        [made] = await opened.prepare([image("b")])
        assert isinstance(made, Request)
        assert opened._workers != [worker]


async def test_an_image_that_wants_all_the_memory_is_a_row_and_the_process_lives(tmp_path: Path) -> None:
    async with processes(tmp_path) as opened:
        [broken, fine] = await opened.prepare([image("balloon"), image("a")])
    assert isinstance(broken, Unprepared)
    assert broken.failure.reason == "too_large"
    assert isinstance(fine, Request)
    assert (tmp_path / "balloon").read_text() == (tmp_path / "a").read_text(), "the same process"


async def test_trouble_of_the_source_is_trouble_of_the_run(tmp_path: Path) -> None:
    async with processes(tmp_path) as opened:
        with pytest.raises(RunError, match="The disk is gone"):
            await opened.prepare([image("a"), image("gone")])
        [made] = await opened.prepare([image("b")])
        assert isinstance(made, Request)


async def test_decoders_see_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-mine")
    async with processes(tmp_path) as opened:
        [made] = await opened.prepare([image("key")])
    assert isinstance(made, Request)


async def test_no_more_processes_than_there_is_work_for(tmp_path: Path) -> None:
    async with processes(tmp_path, count=8) as opened:
        assert opened.lanes == 8 * LANES
        for name in ("a", "b", "c"):
            await opened.prepare([image(name)])
    assert len({(tmp_path / name).read_text() for name in ("a", "b", "c")}) == 1


async def test_a_process_that_cannot_start_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    async with processes(tmp_path) as opened:
        with pytest.raises(RunError, match="No process for images could be started"):
            await opened.prepare([image("a")])
    monkeypatch.setattr("sys.executable", str(tmp_path / "nowhere"))
    async with processes(tmp_path) as opened:
        with pytest.raises(RunError, match="No such file"):
            await opened.prepare([image("a")])


async def test_the_process_that_was_started_ahead_is_the_first_to_work(tmp_path: Path) -> None:
    async with processes(tmp_path, count=2, ahead=True) as opened:
        [worker] = opened._workers
        [made] = await opened.prepare([image("a")])
        assert isinstance(made, Request)
        assert opened._workers == [worker]


@pytest.mark.parametrize("python", ["/bin/false", "/nowhere"])
async def test_who_needs_a_process_is_told_that_none_starts(
    python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", python)
    async with processes(tmp_path, ahead=True) as opened:
        with pytest.raises(RunError, match="No process for images could be started"):
            await opened.prepare([image("a")])


async def test_nothing_stays_behind_even_of_a_process_that_hangs(tmp_path: Path) -> None:
    async with processes(tmp_path) as opened:
        hanging = asyncio.create_task(opened.prepare([image("hang")]))
        while not (tmp_path / "hang").exists() or not (tmp_path / "hang").read_text():
            await asyncio.sleep(0.01)
        process = int((tmp_path / "hang").read_text())
        hanging.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert hanging.cancelled()


async def test_a_start_may_be_cancelled_at_any_moment(tmp_path: Path) -> None:
    for turns in range(8):
        async with processes(tmp_path) as opened:
            preparing = asyncio.create_task(opened.prepare([image("a")]))
            for _ in range(turns):
                await asyncio.sleep(0)
            preparing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await preparing
    gc.collect()  # what was left open or running would warn, and warnings are errors
