"""Reading an object by its URI, `s3://BUCKET/NAME` and the like, whoever listed it."""

from collections.abc import Awaitable, Iterator
from typing import TypeVar

from pipeline.errors import ImageError, NightcapError, RunError, Unavailable, UserError
from pipeline.items import SourceImage
from pipeline.objects import HASTY, Location, Objects, open_objects
from pipeline.sources.options import SourceOptions

T = TypeVar("T")

_TRIALS = 5
"""Objects to try when one is refused and none was read before."""


class ObjectReader:
    """Reads what `s3://`, `gs://` and `az://` URIs name, and containers that it is told of; opens each bucket once.

    A request that fails is tried again for some seconds only, since the engine does the waiting. Another process gets
    one that has opened nothing.
    """

    def __init__(self, options: SourceOptions, location: Location | None = None) -> None:
        """`location`: what URIs may begin with besides; one with a signature cannot be opened from a URI."""
        self._options = options
        self._max_bytes = options.max_bytes
        self._location = location
        self._buckets: dict[str, Objects] = {}
        self._read: dict[str, str] = {}
        """By bucket, the last object that was read."""

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._options, self._location)

    async def fetch(self, image: SourceImage) -> bytes:
        import obstore

        self._check_size(image.bytes)
        bucket = self._bucket(image.uri)
        name = bucket.location.name(image.uri)
        found = await self._answer(bucket, name, obstore.get_async(bucket.store, name))
        self._check_size(found.meta["size"])
        data = (await self._answer(bucket, name, found.bytes_async())).to_bytes()
        if image.bytes not in (None, len(data)):
            raise ImageError("unreadable", "The object changed after it was listed; the next run takes it up.")
        self._read[bucket.location.base] = name
        return data

    async def fetch_head(self, image: SourceImage, count: int) -> bytes:
        if image.bytes == 0:  # no part of nothing can be asked for
            return b""
        return await self.fetch_range(image.uri, 0, count)

    async def fetch_part(self, image: SourceImage, offset: int, count: int) -> bytes:
        left = count if image.bytes is None else min(count, image.bytes - offset)
        return await self.fetch_range(image.uri, offset, left) if left > 0 else b""

    async def fetch_range(self, uri: str, offset: int, count: int) -> bytes:
        """`count` bytes of the object from `offset`; fewer at its end only."""
        import obstore

        bucket = self._bucket(uri)
        name = bucket.location.name(uri)
        data = await self._answer(bucket, name, obstore.get_range_async(bucket.store, name, start=offset, length=count))
        self._read[bucket.location.base] = name
        return data.to_bytes()

    def list(self) -> Iterator[SourceImage]:
        """Nothing: those that list have their own."""
        return iter(())

    def read(self, image: SourceImage) -> bytes:
        import asyncio

        return asyncio.run(self.fetch(image))

    def read_head(self, image: SourceImage, count: int) -> bytes:
        import asyncio

        return asyncio.run(self.fetch_head(image, count))

    def _bucket(self, uri: str) -> Objects:
        for base, bucket in self._buckets.items():
            if uri.startswith(base):
                return bucket
        own = self._location
        bucket = open_objects(own if own and uri.startswith(own.base) else uri, patience=HASTY)
        self._buckets[bucket.location.base] = bucket
        return bucket

    def _check_size(self, size: int | None) -> None:
        if size is not None and size > self._max_bytes:
            raise ImageError("too_large", f"The object has {size} bytes, more than max_bytes = {self._max_bytes}.")

    async def _answer(self, bucket: Objects, name: str, answer: Awaitable[T]) -> T:
        """What the store answers. Tells the trouble of one image from that of all, as `RemoteSource` says."""
        try:
            return await answer
        except Exception as error:
            trouble = bucket.explained(error)
            if isinstance(trouble, ImageError | Unavailable):
                raise trouble from None
            if await self._can_read_others(bucket, name):
                raise ImageError("unreadable", str(trouble)) from None
            raise self._of_all(bucket, trouble) from None

    async def _can_read_others(self, bucket: Objects, name: str) -> bool:
        """Whether it is this object alone that is refused: the last one read, or a neighbour, still comes."""
        import obstore

        try:
            names = [self._read[bucket.location.base]]
        except KeyError:
            folder = name.rpartition("/")[0] or None
            try:
                page = await anext(obstore.list(bucket.store, folder))
            except Exception:
                return False
            names = [other["path"] for other in page[:_TRIALS]]
        for other in names:
            try:
                await obstore.get_range_async(bucket.store, other, start=0, length=1)
            except FileNotFoundError:
                return True
            except Exception:
                continue
            return True
        return False

    def _of_all(self, bucket: Objects, trouble: NightcapError) -> NightcapError:
        """Credentials that were good once are no mistake of the command."""
        if isinstance(trouble, UserError) and bucket.location.base in self._read:
            return RunError(str(trouble))
        return trouble
