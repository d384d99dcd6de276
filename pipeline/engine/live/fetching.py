"""The stage between listing and preparing, for images of remote sources: many are fetched at once.

Decides when to try again, when to give one image up and when the whole run; what an error means, its source has said.
Bytes are counted from before they are fetched until they are prepared.
"""

import asyncio
import functools
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass

from pipeline.clock import Clock
from pipeline.engine.flow.channel import Channel
from pipeline.engine.live.spool import Spool
from pipeline.engine.live.stages import Line
from pipeline.engine.preparing.by_url import HEAD_BYTES, ByUrl, holds_header
from pipeline.engine.preparing.preparer import Fetched, failure_of
from pipeline.engine.record import to_record
from pipeline.engine.stop import Stop
from pipeline.errors import ImageError, NightcapError, RunError, Unavailable, UserError
from pipeline.items import SourceImage, Unprepared
from pipeline.sources import RangedSource, RemoteSource, Source, WebReader, has_video_suffix, remote_source

log = logging.getLogger(__name__)

FETCHED_BYTES = 64 * 1024 * 1024
"""Files in memory that are not prepared yet; what one is fetched for takes part with its size as listed."""
GROUP_BYTES = 1024 * 1024 * 1024
"""Of images that are asked about together: all of them are in memory, here and in a process, until they are ready."""
PIECE_BYTES = 4 * 1024 * 1024
"""Of a video, asked for at once."""
UNKNOWN_BYTES = 1024 * 1024
"""What a file counts for until it is here, when the listing did not say."""
PATIENCE_SECONDS = 600.0
"""A source that gave nothing for so long is given up, and the run with it."""
ATTEMPTS = 8
"""For one image, while others come."""
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0


@dataclass(slots=True)
class _Health:
    """Of one source."""

    answers: int = 0
    silent_since: float | None = None
    """When it failed after its last answer; None while it answers."""


class Fetcher:
    """Fetches one image at a time for each of its callers. What they share: whether each source answers, and a stop."""

    def __init__(
        self,
        source: Source,
        stop: Stop,
        clock: Clock,
        rng: random.Random,
        by_url: ByUrl | None = None,
        spool: Spool | None = None,
    ) -> None:
        """`spool`: for videos, where they are asked about."""
        self._by_url = by_url
        self._spool = spool
        self._source = source
        self._stop = stop
        self._clock = clock
        self._rng = rng
        self._health: dict[RemoteSource, _Health] = {}
        self._interruptible: set[asyncio.Timeout] = set()
        stop.on_request(self._interrupt)

    def remote(self, image: SourceImage) -> RemoteSource | None:
        """What to fetch a single image from; None for one that is read where it is, or has failed already."""
        return None if image.failure else remote_source(self._source, image)

    def has_to(self, image: SourceImage) -> bool:
        """Whether it, or one of several that are asked about together, is to be fetched."""
        return not image.failure and any(self.remote(each) for each in image.members or (image,))

    async def fetch(self, image: SourceImage) -> Fetched | Unprepared | None:
        """The image with its bytes, or with the reason why there are none.

        None: the run was asked to stop. A fetch that is cut off costs nobody anything.

        Raises RunError or UserError when the whole source is in trouble.
        """
        return await self._until_stopped(image, self._head_or_whole(image))

    async def fetch_again(self, image: SourceImage) -> Fetched | Unprepared | None:
        """The whole image, of which the beginning was fetched before; otherwise as `fetch`."""
        return await self._until_stopped(image, self._whole(image))

    async def _until_stopped(
        self, image: SourceImage, fetching: Coroutine[None, None, Fetched]
    ) -> Fetched | Unprepared | None:
        if self._stop.requested:  # while it was waited for room
            fetching.close()
            return None
        try:
            async with asyncio.timeout(None) as scope:
                self._interruptible.add(scope)
                try:
                    return await fetching
                finally:
                    self._interruptible.discard(scope)
        except (RunError, UserError):
            raise
        except Exception as error:  # trouble of the image; and a bug somewhere costs one row, not the night
            return None if scope.expired() else Unprepared(image, failure_of(error, image.key))

    def spools(self, image: SourceImage) -> bool:
        """Whether it comes as a file on the disk: a video, by its name, of a source that gives parts of files."""
        if self._spool is None or image.members:
            return False
        remote = self.remote(image)
        named = has_video_suffix(image.key) or has_video_suffix(image.uri)
        in_parts = isinstance(remote, WebReader) or (isinstance(remote, RangedSource) and image.bytes is not None)
        return named and in_parts

    async def _head_or_whole(self, image: SourceImage) -> Fetched:
        remote = self.remote(image)
        if self._spool and self.spools(image) and isinstance(remote, RangedSource):
            return await self._spooled(self._spool, remote, image)
        if self._by_url and self._by_url.is_on and not image.members:
            remote = self.remote(image)
            if isinstance(remote, WebReader):
                head = await self._patiently(remote, lambda: remote.fetch_head(image, HEAD_BYTES))
                if holds_header(head):
                    return Fetched(image, (head,), by_url=True)
        return await self._whole(image)

    async def _spooled(self, spool: Spool, remote: RangedSource, image: SourceImage) -> Fetched:
        try:
            return Fetched(image, (), path=await spool.keep(image.bytes, self._pieces(remote, image)))
        except ImageError as error:
            if error.reason != "unreadable" or not isinstance(remote, WebReader):
                raise
        return await self._whole(image)  # of a server that gives no parts

    async def _pieces(self, remote: RangedSource, image: SourceImage) -> AsyncIterator[bytes]:
        """Each is tried again by itself, so that a long way does not begin anew."""
        offset, piece = 0, b""
        while offset == 0 or len(piece) == PIECE_BYTES:
            piece = await self._patiently(remote, functools.partial(remote.fetch_part, image, offset, PIECE_BYTES))
            yield piece
            offset += len(piece)
            if not piece or (image.bytes is not None and offset > image.bytes):  # the room taken is for what was listed
                break
        if image.bytes not in (None, offset):
            raise ImageError("unreadable", "The video changed after it was listed; the next run takes it up.")

    async def _whole(self, image: SourceImage) -> Fetched:
        """Of several images one after the other: so `RunOptions.fetchers` are as many files on their way, not more."""
        if not image.members:
            return Fetched(image, (await self._file(image),))
        files: list[bytes] = []
        for member in image.members:
            if sum(map(len, files)) > GROUP_BYTES:
                raise ImageError("too_large", f"Its images have more than {GROUP_BYTES} bytes together; group fewer.")
            try:
                files.append(await self._file(member))
            except ImageError as error:
                raise ImageError(error.reason, f"{member.key}: {error}") from None
        return Fetched(image, tuple(files))

    async def _file(self, image: SourceImage) -> bytes:
        remote = self.remote(image)
        if remote is None:  # one of several, the others of which are far away
            return await asyncio.to_thread(self._source.read, image)
        return await self._patiently(remote, lambda: remote.fetch(image))

    async def fetch_head(self, remote: RemoteSource, image: SourceImage, count: int) -> bytes:
        """Its first `count` bytes. Raises ImageError, or what ends the run, as the source does."""
        return await self._patiently(remote, lambda: remote.fetch_head(image, count))

    async def _patiently(self, remote: RemoteSource, ask: Callable[[], Awaitable[bytes]]) -> bytes:
        health = self._health.setdefault(remote, _Health())
        answers_before, attempt = health.answers, 0
        while True:
            try:
                data = await ask()
            except Unavailable as error:
                attempt += 1
                self._check(health, error)
                if attempt >= ATTEMPTS and health.answers > answers_before:
                    raise ImageError("server_error", f"Tried {attempt} times: {error}") from None
                await self._clock.sleep(wait_seconds(attempt, self._rng))
            except ImageError:
                self._answered(health)
                raise
            else:
                self._answered(health)
                return data

    def _check(self, health: _Health, error: Unavailable) -> None:
        """Say once that the source is waited for; raise `error` when that has gone on for too long."""
        now = self._clock.monotonic()
        if health.silent_since is None:
            health.silent_since = now
            log.warning("Waiting: %s", error)
        elif now - health.silent_since > PATIENCE_SECONDS:
            raise error

    def _answered(self, health: _Health) -> None:
        health.answers += 1
        health.silent_since = None

    def _interrupt(self) -> None:
        for scope in self._interruptible:
            scope.reschedule(0)  # long ago, by the loop's clock


def wait_seconds(attempt: int, rng: random.Random) -> float:
    """After the `attempt`-th failure: doubling, with jitter, so that all do not come back at once."""
    return min(FIRST_WAIT_SECONDS * 2.0 ** (attempt - 1), LONGEST_WAIT_SECONDS) * rng.uniform(0.5, 1)


async def fetch_images(line: Line, listed: Channel[SourceImage], fetcher: Fetcher) -> None:
    """Fetch one image at a time; as many of these loops run as files may be on their way."""
    with line.todo.sending(), line.done.sending():
        while (image := await listed.get()) is not None:
            if not line.stop.requested:
                await _fetch(line, fetcher, image)


async def _fetch(line: Line, fetcher: Fetcher, image: SourceImage) -> None:
    """Ends on `todo` or `done`; or, when the run stops, in nothing: the image waits for the next run."""
    if not fetcher.has_to(image):
        await line.todo.put(image)
        return
    taken = UNKNOWN_BYTES * max(1, len(image.members)) if image.bytes is None else image.bytes
    if fetcher.spools(image):
        taken = PIECE_BYTES
    await line.fetched.take(taken)
    found: Fetched | Unprepared | None = None
    try:
        found = await fetcher.fetch(image)
    except NightcapError as error:
        line.stop.fail(error)
    if isinstance(found, Fetched):
        line.fetched.give_back(taken - found.size)  # the preparer gives the rest back
        await line.todo.put(found)
        return
    line.fetched.give_back(taken)
    if found is not None:
        await line.done.put(to_record(found, line.context))
