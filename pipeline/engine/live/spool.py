"""Videos that are far away, as files of this machine from when they are fetched until they are prepared."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import BinaryIO

from pipeline.engine.flow.byte_budget import ByteBudget
from pipeline.errors import ImageError, RunError

SPOOLED_BYTES = 4 * 1024**3
"""On the disk at once; a single larger one passes alone."""
UNKNOWN_BYTES = 256 * 1024**2
"""What one counts for, when the listing did not say."""


class Spool:
    """Its folder is made for the first file, and removed with all that is in it by `close`."""

    def __init__(self, max_bytes: int, room: int = SPOOLED_BYTES) -> None:
        """`max_bytes`: of one video."""
        self._max_bytes = max_bytes
        self._room = ByteBudget(room)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files: dict[str, int] = {}
        self._number = 0

    async def keep(self, size: int | None, pieces: AsyncIterator[bytes]) -> str:
        """The path of a new file that holds `pieces`; waits for room for `size`. RunError when the disk refuses."""
        self._check(size or 0)
        taken = UNKNOWN_BYTES if size is None else size
        await self._room.take(taken)
        self._number += 1
        path = ""
        try:
            path = self._new_path()
            with _create(path) as file:
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)
                    self._check(file.tell())
        except BaseException as error:
            self._room.give_back(taken)
            _remove(path)
            if isinstance(error, OSError):
                text = f"A video cannot be kept in {tempfile.gettempdir()}: {error.strerror}."
                raise RunError(text) from error
            raise
        self._files[path] = taken
        return path

    async def release(self, path: str) -> None:
        """It is not needed any more."""
        self._room.give_back(self._files.pop(path))
        await asyncio.to_thread(_remove, path)  # which takes its time for gigabytes

    def close(self) -> None:
        if self._folder:
            self._folder.cleanup()

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            message = f"The video has {size} bytes or more, above max_video_bytes = {self._max_bytes}."
            raise ImageError("too_large", message)

    def _new_path(self) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="nightcap-")
        # The suffix says that it is worth a look; what is in it decides.
        return os.path.join(self._folder.name, f"{self._number}.mp4")


def _create(path: str) -> BinaryIO:
    """At once, not in a thread: that would go on when its task is cancelled."""
    return open(path, "xb")


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
