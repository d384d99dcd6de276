"""A source that is far away, in memory. Fulfils `sources.RemoteSource`."""

import asyncio
from collections.abc import Callable, Mapping

from pipeline.items import SourceImage
from tests.helpers.listing import Listing

Trouble = Callable[[SourceImage, int], Exception | None]


class RemoteListing(Listing):
    """Lists `files`; `trouble` may say what the n-th attempt (from 1) to fetch an image raises."""

    def __init__(self, files: Mapping[str, bytes | None], trouble: Trouble | None = None) -> None:
        super().__init__(files)
        self._trouble = trouble
        self.attempts: dict[str, int] = {}
        self.most_at_once = 0
        self._at_once = 0

    async def fetch(self, image: SourceImage) -> bytes:
        await self._travel(image)
        return self.read(image)

    async def fetch_head(self, image: SourceImage, count: int) -> bytes:
        await self._travel(image)
        return self.read_head(image, count)

    async def _travel(self, image: SourceImage) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0)
        finally:
            self._at_once -= 1
        self.attempts[image.key] = attempt = self.attempts.get(image.key, 0) + 1
        if self._trouble is not None and (error := self._trouble(image, attempt)):
            raise error
