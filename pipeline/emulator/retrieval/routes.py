"""The retrieval service's URLs. Looks at the videos of this machine, as the real one fetches those that it is given."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from pipeline.clock import Clock
from pipeline.emulator.retrieval.indexes import Ingestion, Retrieval, page_of, request_id
from pipeline.emulator.retrieval.reading import JsonObject, Video, read_page, reject
from pipeline.emulator.wire.errors import Rejected

API_VERSION = "2023-05-01-preview"
PATH = "/computervision/retrieval/indexes"
HEAD_BYTES = 64
LOOK_SECONDS = 10.0
HERE = ("127.0.0.1", "localhost", "::1")
# By what a file begins with: ISO media (mp4, mov), Matroska and WebM, AVI, Flash, ASF (Video Retrieval, input).
_MAGIC: tuple[tuple[int, bytes], ...] = (
    (4, b"ftyp"), (0, b"\x1aE\xdf\xa3"), (8, b"AVI "), (0, b"FLV"), (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
)  # fmt: skip

CheckKey = Callable[[str | None, bool], None]
"""Told the key or token, and whether it is a token; Rejected when it is not the right one."""
Handler = Callable[[web.Request], Awaitable[tuple[int, JsonObject | None]]]


class RetrievalRoutes:
    """What a web server needs to answer as the retrieval service."""

    def __init__(self, memory: Callable[[], Retrieval], clock: Clock, check_key: CheckKey) -> None:
        """`memory` is another one after each reset."""
        self._memory = memory
        self._clock = clock
        self._check_key = check_key
        self._looks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        index, ingestions = PATH + "/{index:[^/:]+}", PATH + "/{index:[^/:]+}/ingestions"
        return [
            web.get(PATH, self._handled(self._list_indexes)),
            web.put(index, self._handled(self._create)),
            web.get(index, self._handled(self._show)),
            web.patch(index, self._handled(self._update)),
            web.delete(index, self._handled(self._delete)),
            web.post(index + ":queryByText", self._handled(self._query)),
            web.get(ingestions, self._handled(self._list_ingestions)),
            web.put(ingestions + "/{ingestion}", self._handled(self._ingest)),
            web.get(ingestions + "/{ingestion}", self._handled(self._show_ingestion)),
            web.get(index + "/documents", self._handled(self._list_documents)),
        ]

    def _handled(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            headers = {"request-id": request_id(), "api-supported-versions": f"2023-01-15-preview,{API_VERSION}"}
            try:
                self._check_key(*_credential(request))
                if request.query.get("api-version") != API_VERSION:
                    reject("The requested API version is not supported.", "UnsupportedApiVersion")
                status, document = await handler(request)
            except Rejected as rejected:
                error = rejected.error
                return web.Response(
                    status=error.status, body=error.body(), headers=headers, content_type="application/json"
                )
            if document is None:
                return web.Response(status=status, headers=headers)
            return web.json_response(document, status=status, headers=headers)

        return answer

    async def _list_indexes(self, request: web.Request) -> tuple[int, JsonObject]:
        return 200, _page(request, [index.as_json() for index in self._memory().indexes()])

    async def _create(self, request: web.Request) -> tuple[int, JsonObject]:
        return 201, self._memory().create(_name(request), await _body(request), self._clock.time()).as_json()

    async def _show(self, request: web.Request) -> tuple[int, JsonObject]:
        return 200, self._memory().index(_name(request)).as_json()

    async def _update(self, request: web.Request) -> tuple[int, JsonObject]:
        return 200, self._memory().update(_name(request), await _body(request), self._clock.time()).as_json()

    async def _delete(self, request: web.Request) -> tuple[int, None]:
        self._memory().delete(_name(request))
        return 204, None

    async def _query(self, request: web.Request) -> tuple[int, JsonObject]:
        return 200, {"value": self._memory().query(_name(request), await _body(request), self._clock.time())}

    async def _list_documents(self, request: web.Request) -> tuple[int, JsonObject]:
        found = self._memory().documents(_name(request), self._clock.time())
        return 200, _page(request, [document.as_json() for document in found])

    async def _list_ingestions(self, request: web.Request) -> tuple[int, JsonObject]:
        now = self._clock.time()
        found = self._memory().index(_name(request)).ingestions.values()
        return 200, _page(request, [ingestion.as_json(now) for ingestion in found])

    async def _show_ingestion(self, request: web.Request) -> tuple[int, JsonObject]:
        found = self._memory().ingestion(_name(request), request.match_info["ingestion"])
        return 200, found.as_json(self._clock.time(), detailed="detailLevel" in request.query)

    async def _ingest(self, request: web.Request) -> tuple[int, JsonObject]:
        body, now = await _body(request), self._clock.time()
        ingestion = self._memory().ingest(_name(request), request.match_info["ingestion"], body, now)
        as_it_was = ingestion.as_json(now)
        look = asyncio.create_task(_look(ingestion))
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)
        return 202, as_it_was


async def _look(ingestion: Ingestion) -> None:
    """Find out which of its videos can be read."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LOOK_SECONDS)) as session:
        for video, document in zip(ingestion.videos, ingestion.documents, strict=True):
            if video.mode == "add":
                document.error = await _problem(session, video)
    ingestion.looked_at = True


async def _problem(session: aiohttp.ClientSession, video: Video) -> str | None:
    """What is wrong with a video; one that is not on this machine is taken to be all right."""
    if urlsplit(video.url).hostname not in HERE:
        return None
    try:
        address = URL(video.url, encoded=True)  # a signature is over these very characters
        async with session.get(address, headers={"Range": f"bytes=0-{HEAD_BYTES - 1}"}) as response:
            head = await response.content.read(HEAD_BYTES)
            if response.status >= 300:
                return f"The document URL cannot be accessed: {response.status}."
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return "The document URL cannot be accessed."
    return None if any(head[at:].startswith(magic) for at, magic in _MAGIC) else "The video format is not supported."


def _name(request: web.Request) -> str:
    return request.match_info["index"]


def _credential(request: web.Request) -> tuple[str | None, bool]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token, True
    return request.headers.get("Ocp-Apim-Subscription-Key"), False


def _page(request: web.Request, entries: list[JsonObject]) -> JsonObject:
    address = f"{request.scheme}://{request.host}{request.path}?api-version={API_VERSION}"
    return page_of(entries, *read_page(_plain(request.query)), address)


def _plain(query: Mapping[str, str]) -> dict[str, str]:
    return dict(query.items())


async def _body(request: web.Request) -> JsonObject:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else reject("The request body is not a JSON object.")
