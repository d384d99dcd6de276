"""Videos far away, on the disk of this machine."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.engine.live.spool import Spool
from pipeline.errors import ImageError, RunError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def pieces(*found: bytes) -> AsyncIterator[bytes]:
    for piece in found:
        yield piece


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_nothing_is_left_in_the_end(folder: Path) -> None:
    spool = Spool(1000)
    path = await spool.keep(6, pieces(b"abc", b"def"))
    await spool.keep(None, pieces())
    assert Path(path).read_bytes() == b"abcdef"
    assert os.stat(Path(path).parent).st_mode & 0o077 == 0, "nobody else's business"
    await spool.release(path)
    assert len(files(folder)) == 1
    spool.close()
    assert list(folder.iterdir()) == []


async def test_one_that_is_too_large_is_not_kept_whatever_was_listed(folder: Path) -> None:
    spool = Spool(5)
    for listed in (6, 3, None):
        with pytest.raises(ImageError, match="max_video_bytes = 5") as caught:
            await spool.keep(listed, pieces(b"abc", b"def", b"ghi"))
        assert caught.value.reason == "too_large"
    assert files(folder) == []
    spool.close()


async def test_the_next_waits_until_there_is_room(folder: Path) -> None:
    spool = Spool(100, room=10)
    first = await spool.keep(6, pieces(b"abcdef"))
    second = asyncio.ensure_future(spool.keep(6, pieces(b"ghijkl")))
    await asyncio.sleep(0.01)
    assert not second.done()
    await spool.release(first)
    assert Path(await second).read_bytes() == b"ghijkl"
    spool.close()


async def test_one_that_is_given_up_leaves_nothing(folder: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"begin"
        await asyncio.sleep(3600)

    spool = Spool(100, room=10)
    task = asyncio.ensure_future(spool.keep(8, endless()))
    while not files(folder):
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(folder) == []
    assert await asyncio.wait_for(spool.keep(8, pieces(b"next")), 5), "its room is free"
    spool.close()


async def test_a_disk_that_is_not_there_is_the_runs_trouble(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(100)
    path = await spool.keep(1, pieces(b"a"))
    await spool.release(path)
    Path(path).parent.rmdir()
    with pytest.raises(RunError, match="cannot be kept"):
        await spool.keep(1, pieces(b"a"))
    spool.close()
