"""What every source offers. Blocking: the engine calls it from worker threads."""

from collections.abc import Iterator
from typing import Protocol

from pipeline.items import SourceImage


class Source(Protocol):
    """Where images come from. A source finds an image again by its `uri`; the key may have been given a prefix."""

    def list(self) -> Iterator[SourceImage]:
        """Every image, as a stream in an order that stays the same. Raises UserError when there is nothing to list."""
        ...

    def read(self, image: SourceImage) -> bytes:
        """The whole file, from any thread. Raises ImageError `unreadable` or `too_large`."""
        ...

    def read_head(self, image: SourceImage, count: int) -> bytes:
        """Its first `count` bytes, all when there are fewer; as `read` otherwise."""
        ...
