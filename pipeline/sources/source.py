"""What every source offers, and what those offer whose images lie on another machine."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from pipeline.items import SourceImage


class Source(Protocol):
    """Where images come from. A source finds an image again by its `uri`; the key may have been given a prefix.

    Blocking: the engine calls it from worker threads, `list` from one of its own.
    """

    def list(self) -> Iterator[SourceImage]:
        """Every image, as a stream in an order that stays the same. Raises UserError when there is nothing to list.

        Trouble that passes is waited for within: the engine cannot begin again in the middle of a listing.
        """
        ...

    def read(self, image: SourceImage) -> bytes:
        """The whole file, from any thread. Raises ImageError `unreadable` or `too_large`."""
        ...

    def read_head(self, image: SourceImage, count: int) -> bytes:
        """Its first `count` bytes, all when there are fewer; as `read` otherwise."""
        ...


@runtime_checkable
class RemoteSource(Source, Protocol):
    """A source that is far away: the engine fetches many images at once, so that none waits for another's way.

    `fetch` and `fetch_head` are called on the event loop, as many at a time as `RunOptions.fetchers` says, and must
    neither block it nor create tasks; they may be cancelled at any await. They raise, like `read`,

    - ImageError for trouble of this image: gone since it was listed (`unreadable`), `too_large`, ...
    - Unavailable when waiting may help: throttled, down, out of reach. Tried again by the engine, which knows the clock
      and a stop that was asked for; so an attempt of theirs shall not go on for more than some seconds of silence
    - RunError or UserError when nothing can be read any more: credentials expired, permission withdrawn
    """

    async def fetch(self, image: SourceImage) -> bytes:
        """The whole file."""
        ...

    async def fetch_head(self, image: SourceImage, count: int) -> bytes:
        """Its first `count` bytes, by a range request; all when there are fewer."""
        ...


@runtime_checkable
class RangedSource(RemoteSource, Protocol):
    """A remote source of large files, which come in pieces."""

    async def fetch_part(self, image: SourceImage, offset: int, count: int) -> bytes:
        """`count` bytes of the file from `offset`; fewer at its end only. ImageError when it gives no parts."""
        ...


@runtime_checkable
class MixedSource(Source, Protocol):
    """A source made of others, some of which may be remote. Its own `read` and `read_head` ask the right one."""

    @property
    def sources(self) -> Sequence[Source]:
        """All that an image of it may come from."""
        ...

    def source_of(self, image: SourceImage) -> Source:
        """The one that this image comes from."""
        ...


@runtime_checkable
class Closable(Protocol):
    """A remote source that keeps connections open."""

    async def aclose(self) -> None:
        """Let go of them, on the event loop that they were opened on."""
        ...


async def close_source(source: Source) -> None:
    """Let go of what `source` has opened; it can be used again."""
    if isinstance(source, MixedSource):
        for each in source.sources:
            await close_source(each)
    elif isinstance(source, Closable):
        await source.aclose()


def has_remote(source: Source) -> bool:
    """Whether images of `source`, or some of them, are to be fetched."""
    if isinstance(source, MixedSource):
        return any(has_remote(each) for each in source.sources)
    return isinstance(source, RemoteSource)


def remote_source(source: Source, image: SourceImage) -> RemoteSource | None:
    """What fetches `image`; None when it is to be read."""
    while isinstance(source, MixedSource):
        source = source.source_of(image)
    return source if isinstance(source, RemoteSource) else None
