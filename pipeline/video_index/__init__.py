"""Video indexes of Azure AI Vision: one function for each thing that a person does with them. Blocking.

All read VISION_ENDPOINT and VISION_KEY, or a credential of Entra ID. They raise UserError for a wrong name, setting or
credential, and RunError when the service refuses or does not answer.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pipeline.api.retrieval.client import RetrievalClient, open_retrieval
from pipeline.api.retrieval.names import check_index_name
from pipeline.api.retrieval.values import Document, Index, IndexSettings, Ingestion, Match, Query
from pipeline.api.vision.resource import NEEDED, find_vision
from pipeline.clock import Clock, SystemClock
from pipeline.errors import UserError
from pipeline.sources import SourceOptions
from pipeline.video_index.ingesting import Ingested, IngestOptions, Observer, run_ingestion, videos_in

__all__ = [
    "Contents",
    "IngestOptions",
    "Ingested",
    "create_index",
    "delete_index",
    "index_contents",
    "ingest",
    "list_indexes",
    "query_index",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Contents:
    """What an index holds."""

    index: Index
    ingestions: tuple[Ingestion, ...]
    documents: tuple[Document, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, by field names."""
        return asdict(self)


def create_index(name: str, settings: IndexSettings, environ: Mapping[str, str] = os.environ) -> Index:
    """A new index, still empty. UserError when there is one of that name."""
    check_index_name(name)
    return _asked(environ, lambda client: client.create_index(name, settings))


def list_indexes(environ: Mapping[str, str] = os.environ) -> tuple[Index, ...]:
    """All of the resource."""

    async def listed(client: RetrievalClient) -> tuple[Index, ...]:
        return tuple([index async for index in client.indexes()])

    return _asked(environ, listed)


def index_contents(name: str, environ: Mapping[str, str] = os.environ) -> Contents:
    """Its ingestions and documents."""
    check_index_name(name)

    async def collected(client: RetrievalClient) -> Contents:
        index = await client.index(name)
        ingestions = [ingestion async for ingestion in client.ingestions(name)]
        documents = [document async for document in client.documents(name)]
        return Contents(index, tuple(ingestions), tuple(documents))

    return _asked(environ, collected)


def ingest(
    sources: SourceOptions,
    options: IngestOptions,
    environ: Mapping[str, str] = os.environ,
    observer: Observer = lambda progress: None,
    clock: Clock | None = None,
) -> Ingested:
    """Put the videos of a source into an index, those that are not there yet, and wait until they are.

    Interrupted, it leaves the service at work; started again, it waits for the same ingestion.
    """
    check_index_name(options.index)
    videos = videos_in(sources, environ, options)
    own_clock = clock or SystemClock()
    return _asked(environ, lambda client: run_ingestion(client, videos, options, own_clock, observer), own_clock)


def query_index(name: str, query: Query, environ: Mapping[str, str] = os.environ) -> list[Match]:
    """The moments of its videos that a text describes best. Costs one query."""
    check_index_name(name)
    return _asked(environ, lambda client: client.query(name, query))


def delete_index(name: str, environ: Mapping[str, str] = os.environ) -> None:
    """With all that it holds; the videos themselves stay where they are."""
    check_index_name(name)
    _asked(environ, lambda client: client.delete_index(name))


def _asked(environ: Mapping[str, str], ask: Callable[[RetrievalClient], Awaitable[T]], clock: Clock | None = None) -> T:
    vision = find_vision(environ)
    if vision is None:
        raise UserError(f"Video indexes belong to an Azure AI Vision resource: {NEEDED}.")

    async def opened() -> T:
        async with open_retrieval(vision, clock or SystemClock(), random.Random()) as client:
            return await ask(client)

    return asyncio.run(opened())
