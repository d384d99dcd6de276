"""Images whose content was paid for already, under another name. Knows messages and where to look, no channels.

Three places hold such an answer: a row of OUT; one of the last answers of this run, which may not be a row yet; or
somebody who is asking at this moment, whom the others follow instead of asking too. Followers keep their request, and
their bytes stay counted: when the one before them gets no caption, they are asked themselves.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from concurrent.futures import Executor
from typing import TYPE_CHECKING, TypeVar

from pipeline.clock import Clock, utc
from pipeline.engine.pools import on
from pipeline.engine.record import Reused, RowContext, to_record
from pipeline.items import REUSABLE, Record, Request, Status, own_prompt_of

if TYPE_CHECKING:
    from pipeline.engine.asking.near import Likeness, NearDuplicates
    from pipeline.store import Store

T = TypeVar("T")

# Answers wait for the recorder in a channel of 512 and with the askers; after that the store knows them.
RECENT = 2048
_AND = "\0"


class Reuse:
    """What is known of the contents of one run. One event loop."""

    def __init__(
        self,
        store: "Store",
        disk: Executor,
        context: RowContext,
        clock: Clock,
        reusable: Collection[Status] = REUSABLE,
        near: "NearDuplicates | None" = None,
    ) -> None:
        """`reusable` says which rows of OUT will do; `near` finds pictures that look alike, if that is wanted."""
        self._store = store
        self._disk = disk
        self._context = context
        self._clock = clock
        self._reusable = reusable
        self._near = near
        self._leaders: dict[str, list[Request]] = {}
        """Contents that are being asked, and who waits for the answer."""
        self._answered: OrderedDict[str, Record] = OrderedDict()
        """The last rows with a caption, oldest first."""
        self._alone: OrderedDict[str, None] = OrderedDict()
        """The last contents that got no caption: their copies do not wait for each other, they would queue for long."""
        self._loading = asyncio.Lock()
        self._loaded = False

    async def find(self, request: Request) -> Record | None:
        """The image's row with the answer that was paid for before, if there is one."""
        if not self._loaded:
            await self._load()
        if original := await self._original(_content(request)):
            return self.copy(request, original)
        like = self._like(request)
        original = await self._original(like.content) if like else None
        return self.copy(request, original, like) if original else None

    def follow(self, request: Request) -> bool:
        """True: the same is being asked, and its asker will settle this one too. False: the caller is to ask it."""
        content = _content(request)
        if content in self._alone:
            return False
        if content not in self._leaders and (like := self._like(request)):
            content = like.content
        if content in self._leaders:
            self._leaders[content].append(request)
            return True
        content = _content(request)
        self._leaders[content] = []
        if self._near and request.fingerprint:
            self._near.add(request.fingerprint, content)
        return False

    def settle(self, request: Request, row: Record | None) -> tuple[Record | None, list[Request]]:
        """The end of an image that the caller was to ask: its followers, and the row whose caption they share.

        None: it got no caption, so they are to be asked themselves.
        """
        content = _content(request)
        followers = self._leaders.pop(content, [])
        if row and row.status in REUSABLE:
            _remember(self._answered, content, row)
            return row, followers
        _remember(self._alone, content, None)
        return None, followers

    async def _original(self, content: str) -> Record | None:
        if answered := self._answered.get(content):
            return answered
        content_hash, _, own_prompt = content.partition(_AND)
        if content_hash and self._store.may_have_caption(content_hash):
            found = await on(self._disk, self._store.find_caption, content_hash, own_prompt)
            if found and found.status in self._reusable:
                return found
        return self._answered.get(content)  # perhaps it was answered while the disk was asked

    async def _load(self) -> None:
        async with self._loading:
            if not self._loaded:
                await on(self._disk, self._store.load_captions)
                self._disk.submit(self._store.warm_up)  # while the first requests are away
                self._loaded = True

    def copy(self, request: Request, original: Record, like: "Likeness | None" = None) -> Record:
        """The row of an image whose answer is that of `original`."""
        bits = like.bits if like else None
        if self._near and like is None and original.content_hash != request.content_hash:  # it followed one
            like = self._like(request)
            bits = like.bits if like else self._near.most_bits
        return to_record(Reused(request, original, utc(self._clock.time()), bits), self._context)

    def _like(self, request: Request) -> "Likeness | None":
        """A picture of this run that looks alike and was asked about with the same prompt."""
        if not self._near or not request.fingerprint:
            return None
        like = self._near.find(request.fingerprint)
        if like is None or like.content in self._alone:
            return None
        return like if like.content.partition(_AND)[2] == own_prompt_of(request.image.version) else None


def _content(request: Request) -> str:
    """What two images must have in common: their bytes, and their own prompts if they have such."""
    if request.content_hash is None:
        return _AND + request.image.key  # nobody has seen its bytes: it is like no other
    return request.content_hash + _AND + own_prompt_of(request.image.version)


def _remember(kept: OrderedDict[str, T], content: str, value: T) -> None:
    kept[content] = value
    if len(kept) > RECENT:
        kept.popitem(last=False)
