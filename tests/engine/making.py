"""What the engine's tests share: messages, and sources, providers and stores that do as they are told."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from pipeline.api.asker import Remake
from pipeline.clock import SystemClock
from pipeline.engine.asking.reask import Reask
from pipeline.engine.asking.reuse import Reuse
from pipeline.engine.flow.byte_budget import ByteBudget
from pipeline.engine.flow.channel import Channel
from pipeline.engine.live.stages import Asking, Line
from pipeline.engine.preparing.by_url import ByUrl
from pipeline.engine.preparing.preparer import Listed
from pipeline.engine.record import RowContext
from pipeline.engine.stats import RunStats
from pipeline.engine.stop import Stop
from pipeline.errors import ImageError
from pipeline.items import (
    Answer,
    Failure,
    Prepared,
    Probe,
    Record,
    Reply,
    Request,
    Respondent,
    Sent,
    SourceImage,
    Usage,
    own_prompt_of,
)
from tests.helpers.clock import FakeClock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Dollar:
    """A price: a dollar for each token that was counted."""

    price_date: date = date(2026, 11, 21)

    def cost(self, usage: Usage) -> Decimal | None:
        return None if usage.total_tokens is None else Decimal(usage.total_tokens)


ASKED = Respondent("openai", "gpt-4o")


def context() -> RowContext:
    return RowContext("run-1", "hash-1", ASKED, "high")


def image(key: str = "a.jpg", size: int | None = 10) -> SourceImage:
    return SourceImage(key, f"file:///{key}", "v1", size)


def request(key: str = "a.jpg", body: bytes = b"body", content: str = "") -> Request:
    """Of images with different keys, unless `content` says that they are alike."""
    return Request(
        image=image(key),
        probe=Probe("jpeg", 640, 480),
        content_hash=f"blake3:{hashlib.sha256((content or key).encode()).hexdigest()}",
        original_bytes=2000,
        sent=Sent("jpeg", 512, 384, 1000),
        body=body,
        predicted_image_tokens=255,
        predicted_prompt_tokens=270,
    )


def answer(outcome: Reply | Failure, attempts: int = 1, price: Dollar | None = None) -> Answer:
    cost = price.cost(outcome.usage) if price else None
    return Answer(
        outcome, ASKED, attempts, latency_ms=900, queue_ms=7, started_at=NOON, finished_at=NOON, usage=outcome.usage,
        cost_usd=cost, price_date=price.price_date if price and cost is not None else None,
    )  # fmt: skip


async def nothing_smaller(request: Request) -> Request | None:
    return None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


def reply(caption: str = "A cat.", **changes: Any) -> Reply:
    whole = Reply(caption, Usage(prompt_tokens=270, completion_tokens=5, total_tokens=275), finish_reason="stop")
    return replace(whole, **changes)


def line(*, capacity: int = 4, preparers: int = 1, askers: int = 1, max_bytes: int = 1000) -> Line:
    todo: Channel[Listed] = Channel("todo", capacity, senders=1)
    return Line(
        listed=todo,
        todo=todo,
        ready=Channel("ready", capacity, senders=preparers),
        done=Channel("done", capacity, senders=preparers + askers),
        fetched=ByteBudget(max_bytes),
        in_flight=ByteBudget(max_bytes),
        context=context(),
        stats=RunStats(),
        stop=Stop(SystemClock(), 25.0),
    )


class MemorySource:
    """Images by key. What is no bytes is raised when it is read."""

    def __init__(self, contents: Mapping[str, bytes | Exception]) -> None:
        self._contents = contents

    def list(self) -> Iterator[SourceImage]:
        for key, content in self._contents.items():
            yield image(key, len(content) if isinstance(content, bytes) else None)

    def read(self, image: SourceImage) -> bytes:
        content = self._contents[image.key]
        if isinstance(content, Exception):
            raise content
        return content

    def read_head(self, image: SourceImage, count: int) -> bytes:
        return self.read(image)[:count]


class ScriptedProvider:
    """Answers as `answer_to` says, and remembers what was asked."""

    respondent = ASKED

    def __init__(self, answer_to: Callable[[Request], Awaitable[Answer]], concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.asked: list[str] = []
        self._answer_to = answer_to

    def encode(self, prepared: Prepared, prompt: str | None) -> bytes:
        return prepared.data

    async def ask(self, request: Request, remake: Remake) -> Answer:
        self.asked.append(request.image.key)
        return await self._answer_to(request)

    def stop(self) -> None:
        pass


@dataclass
class MemoryStore:
    """Rows in a list; each call of `append` first runs into the next of `troubles`, if there is one left."""

    troubles: Iterable[Exception | None] = ()
    finished: Mapping[str, str] = field(default_factory=dict)
    """Status by key."""
    rows: list[Record] = field(default_factory=list)
    raw: bytes = b""
    appends: int = 0
    loads: int = 0

    def __post_init__(self) -> None:
        self._troubles = iter(self.troubles)

    @property
    def keys(self) -> list[str]:
        return sorted(row.key for row in self.rows)

    def finished_status(self, image: SourceImage) -> str | None:
        return self.finished.get(image.key)

    def load_captions(self) -> None:
        self.loads += 1

    def warm_up(self) -> None:
        pass

    def may_have_caption(self, content_hash: str) -> bool:
        return any(row.content_hash == content_hash and row.caption for row in self.rows)

    def find_caption(self, content_hash: str, own_prompt: str) -> Record | None:
        rows = (row for row in self.rows if row.content_hash == content_hash and row.caption)
        return next((row for row in rows if own_prompt_of(row.source_version) == own_prompt), None)

    def append(self, records: Sequence[Record], raw: bytes = b"") -> None:
        self.appends += 1
        if trouble := next(self._troubles, None):
            raise trouble
        self.rows += records
        self.raw += raw


def asking(
    provider: ScriptedProvider,
    disk: Executor,
    store: MemoryStore | None = None,
    *,
    reask: tuple[str, ...] = (),
    by_url: ByUrl | None = None,
) -> Asking:
    """What asks the provider; by default of nothing a second time, and with nothing to reuse."""
    reuse = Reuse(store or MemoryStore(), disk, context(), FakeClock())
    return Asking(provider, nothing_smaller, reuse, Reask(reask, 600), by_url or ByUrl(False))


BROKEN = ImageError("undecodable", "It is broken.")
