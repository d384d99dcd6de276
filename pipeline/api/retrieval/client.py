"""The verbs of the retrieval service, each asked until there is an answer or an error in one sentence."""

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NoReturn, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pipeline.api.client import Client, Response
from pipeline.api.endpoint import Endpoint
from pipeline.api.entra.credential import NO_TOKEN, DefaultCredential, OpenCredential
from pipeline.api.entra.tokens import Tokens
from pipeline.api.options import LimitOptions
from pipeline.api.reading.failures import read_failure
from pipeline.api.reading.text import parse_json
from pipeline.api.retrieval import wire
from pipeline.api.retrieval.values import Document, Index, IndexSettings, Ingestion, Match, Query, Video
from pipeline.api.retry import UNCOUNTED_REASONS, Pause, Rest, Situation, Wait, decide
from pipeline.api.vision.resource import KEY_VARIABLE, VisionResource
from pipeline.clock import Clock
from pipeline.errors import RunError, UserError
from pipeline.items import Failure

API_VERSION = "2023-05-01-preview"
PAGE = 100
MOST_PAGES = 10_000
"""A list of a million; one that leads on for ever is not followed for ever."""
LIMITS = LimitOptions(max_attempts=5, timeout_seconds=60.0, patience_seconds=120.0)
"""Somebody waits for the answer."""

T = TypeVar("T")


class RetrievalClient:
    """Asks one resource. Open it with `open_retrieval`.

    All raise UserError for what is not there, is there already or is not taken, and RunError when the service refuses
    us or does not answer.
    """

    def __init__(self, client: Client, clock: Clock, rng: random.Random) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self.host = urlsplit(client.endpoint.url).hostname or ""

    async def create_index(self, name: str, settings: IndexSettings) -> Index:
        return wire.read_index(await self._ask("PUT", f"/indexes/{name}", wire.index_body(settings)))

    async def index(self, name: str) -> Index:
        return wire.read_index(await self._ask("GET", f"/indexes/{name}"))

    async def delete_index(self, name: str) -> None:
        """With all its documents."""
        await self._ask("DELETE", f"/indexes/{name}")

    def indexes(self) -> AsyncIterator[Index]:
        return self._list("/indexes", wire.read_index)

    async def ingest(self, index: str, name: str, videos: Sequence[Video], *, managed_identity: bool) -> Ingestion:
        """Begin; returns at once."""
        body = wire.ingestion_body(videos, managed_identity=managed_identity)
        return wire.read_ingestion(await self._ask("PUT", f"/indexes/{index}/ingestions/{quote(name)}", body))

    def ingestions(self, index: str) -> AsyncIterator[Ingestion]:
        return self._list(f"/indexes/{index}/ingestions", wire.read_ingestion)

    def documents(self, index: str) -> AsyncIterator[Document]:
        """Those that could not be ingested too."""
        return self._list(f"/indexes/{index}/documents", wire.read_document)

    async def query(self, index: str, query: Query) -> list[Match]:
        """The best matches; costs one query."""
        page = await self._ask("POST", f"/indexes/{index}:queryByText", wire.query_body(query))
        return [wire.read_match(each) for each in wire.objects_of(page)]

    async def _list(self, path: str, read: Callable[[wire.JsonObject], T]) -> AsyncIterator[T]:
        query: Mapping[str, str] = {"$top": str(PAGE)}
        for _ in range(MOST_PAGES):
            page = await self._ask("GET", path, query=query)
            for each in wire.objects_of(page):
                yield read(each)
            following = page.get("nextLink")
            if not isinstance(following, str) or not following:
                return
            # Of the link nothing but its query: its host may be another one, which shall not see the key.
            query = dict(parse_qsl(urlsplit(following).query))

    async def _ask(
        self, method: str, path: str, body: bytes | None = None, query: Mapping[str, str] | None = None
    ) -> wire.JsonObject:
        url = f"{self._client.endpoint.url}{path}?{urlencode({**(query or {}), 'api-version': API_VERSION}, safe='$')}"
        begun, tries, counted = self._clock.monotonic(), 0, 0
        while True:
            answer = await self._client.send(method, url, *([] if body is None else [body]))
            if isinstance(answer, Response) and answer.status < 300:
                return _document(answer)
            failure = answer if isinstance(answer, Failure) else _failure(answer)
            tries += 1
            if failure.http_status == 409 and method == "PUT" and tries > 1:
                return await self._ask("GET", path)  # it was made by a request whose answer was lost
            counted += failure.reason not in UNCOUNTED_REASONS
            seconds = self._clock.monotonic() - begun
            wait = self._wait_seconds(failure, Situation(tries, counted, seconds, seconds))
            if wait is None:
                self._give_up(failure, path)
            await self._clock.sleep(wait)

    def _wait_seconds(self, failure: Failure, now: Situation) -> float | None:
        """Before it is asked again; None: no later try mends it."""
        if failure.http_status in (404, 409) or now.seconds >= LIMITS.patience_seconds:
            return None
        match decide(failure, now, LIMITS, self._rng):
            case Wait(seconds) | Pause(seconds) | Rest(seconds, hopeless=None):
                return seconds
        return None

    def _give_up(self, failure: Failure, path: str) -> NoReturn:
        told = failure.message
        if failure.code == NO_TOKEN:
            raise RunError(f"{KEY_VARIABLE} is not set. {told}")
        match failure.http_status:
            case 404:
                raise UserError(f"{self.host} has no {_named(path)}: {told}")
            case 409:
                raise UserError(f"{self.host} has {_named(path)} already: {told}")
            case 401 | 403:
                raise RunError(f"{self.host} refused the credentials; check {KEY_VARIABLE} and whose it is: {told}")
            case int(status) if 400 <= status < 500 and status not in (408, 429):
                raise UserError(f"{self.host} does not take this ({status}): {told}")
        raise RunError(f"{self.host} gave no answer: {told}")


def retrieval_endpoint(vision: VisionResource) -> Endpoint:
    """The resource's retrieval service."""
    base = f"{vision.endpoint}/computervision/retrieval"
    listing = f"{base}/indexes?api-version={API_VERSION}"
    return Endpoint("azure", base, listing, vision.headers, None, None, None if vision.key else vision.cloud)


@asynccontextmanager
async def open_retrieval(
    vision: VisionResource,
    clock: Clock,
    rng: random.Random,
    open_credential: OpenCredential = DefaultCredential,
) -> AsyncIterator[RetrievalClient]:
    """The resource, its session open. Raises MissingExtra when it needs a token and the extra `azure` is missing."""
    endpoint = retrieval_endpoint(vision)
    async with AsyncExitStack() as stack:
        tokens = None
        if endpoint.cloud:
            tokens = await stack.enter_async_context(Tokens(endpoint.cloud, clock, open_credential))
        client = await stack.enter_async_context(Client(endpoint, LIMITS.timeout_seconds, tokens))
        yield RetrievalClient(client, clock, rng)


def _document(answer: Response) -> wire.JsonObject:
    found = parse_json(answer.body) if answer.body else {}
    return found if isinstance(found, dict) else {}


def _failure(answer: Response) -> Failure:
    return read_failure(answer.status, answer.headers, parse_json(answer.body), answer.body, None)


def _named(path: str) -> str:
    """`/indexes/a/ingestions/b` in words."""
    index, *rest = path.removeprefix("/indexes/").partition(":")[0].split("/")
    return f"ingestion {rest[-1]!r} in index {index!r}" if len(rest) > 1 else f"index {index!r}"
