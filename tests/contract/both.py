"""The same request by our client and by the `openai` package, to the same endpoint: what each makes of the answer."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import openai
from openai import AsyncAzureOpenAI, AsyncOpenAI
from openai.types.chat import ChatCompletion

from pipeline.api.client import Response
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import Form, LabelledImage, tail_template
from pipeline.api.pool.member import Member
from pipeline.api.pool.members import members_of
from pipeline.api.pool.opening import open_pool
from pipeline.api.vision.video import document_tail
from pipeline.clock import SystemClock
from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from pipeline.emulator.wire.entra import issue
from pipeline.items import Failure, Probe, Reply, Request, Sent, SourceImage
from tests.helpers.entra import FakeCredential
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate

KEY = "contract-key-0123456789"
DEPLOYMENT = "captions"
INDEX, DOCUMENT = "my-video-index", "02a504c9cd28296a8b74394ed7488045"
DATED, ENHANCED = "2024-10-21", "2024-02-15-preview"
RESOURCE = "https://cognitiveservices.azure.com"
ENVIRON = {
    "OPENAI_API_KEY": KEY,
    "AZURE_OPENAI_API_KEY": KEY,
    "VISION_ENDPOINT": "https://vision.cognitiveservices.azure.com",
    "VISION_KEY": KEY,
}
KNOWN = {"messages", "model", "max_tokens", "max_completion_tokens", "temperature", "response_format"}
"""What the package has parameters for; the rest is sent by `extra_body`."""


async def _token() -> str:
    return issue(RESOURCE, int(SystemClock().time()), 3600)[0]


@dataclass(frozen=True)
class Way:
    """How an endpoint is reached."""

    azure: bool
    api_version: str | None = None
    entra: bool = False

    def options(self, model: str, running: Running) -> ModelOptions:
        """Ours."""
        if self.azure:
            return ModelOptions(
                f"azure:{DEPLOYMENT}", azure_model=model, base_url=running.endpoint, api_version=self.api_version
            )
        return ModelOptions(f"openai:{model}", base_url=running.base_url)

    def client(self, running: Running, timeout: float, *, extended: bool) -> AsyncOpenAI:
        """Theirs, as their guides open it."""
        more: dict[str, Any] = {"max_retries": 0, "timeout": timeout}
        if not self.azure:
            return AsyncOpenAI(base_url=running.base_url, api_key=KEY, **more)
        if self.api_version is None:
            key: Any = _token if self.entra else KEY
            return AsyncOpenAI(base_url=f"{running.endpoint}/openai/v1/", api_key=key, **more)
        more |= {"azure_ad_token_provider": _token} if self.entra else {"api_key": KEY}
        if extended:
            more["base_url"] = f"{running.endpoint}/openai/deployments/{DEPLOYMENT}/extensions"
        else:
            more["azure_endpoint"] = running.endpoint
        return AsyncAzureOpenAI(api_version=self.api_version, **more)


WAYS = {
    "openai": Way(azure=False),
    "azure dated": Way(azure=True, api_version=DATED),
    "azure v1": Way(azure=True),
    "azure dated, Entra": Way(azure=True, api_version=DATED, entra=True),
    "azure v1, Entra": Way(azure=True, entra=True),
}


@dataclass(frozen=True)
class Case:
    """A request, and the endpoint's mood."""

    model: str = "gpt-4o"
    options: Mapping[str, Any] | None = None
    """Of ours, for the model."""
    sizes: tuple[tuple[int, int], ...] = ((640, 480),)
    """Of the images; several are labelled."""
    url: str | None = None
    """In place of an image."""
    video: str | None = None
    """In place of an image: the address of a video of the index `INDEX`, where it is DOCUMENT."""
    form: Callable[[Form], Form | None] = lambda form: form
    """What was learned of the endpoint before."""
    emulator: Mapping[str, Any] | None = None
    padding: int = 0
    """Bytes more, in the middle of each image."""
    timeout: float = 30.0


@dataclass(frozen=True)
class Both:
    """What came of it."""

    ours: Reply | Failure
    response: Response | Failure
    """What ours was read from."""
    theirs: ChatCompletion | Exception
    headers: Mapping[str, str]
    """As theirs saw them."""
    body: Mapping[str, Any]
    """What was sent."""
    asked: list[int]
    """How often each question was admitted."""

    @property
    def completion(self) -> ChatCompletion:
        assert isinstance(self.theirs, ChatCompletion), self.theirs
        return self.theirs

    @property
    def reply(self) -> Reply:
        assert isinstance(self.ours, Reply), self.ours
        return self.ours


@asynccontextmanager
async def endpoint(way: Way, case: Case) -> AsyncIterator[Running]:
    """The emulator, as strict with keys as the way has them."""
    access: dict[str, Any] = {"entra_seconds": 3600.0} if way.entra else {"api_key": KEY}
    more = {"deployments": {DEPLOYMENT: case.model}, **access, **(case.emulator or {})}
    async with emulate(EmulatorOptions(**more)) as running:
        if case.video:
            _index(running, case.video)
        yield running


def _index(running: Running, url: str) -> None:
    """What `nightcap video index create` and `ingest` do."""
    memory, now = running.service.retrieval, SystemClock().time()
    memory.create(INDEX, {"features": [{"name": "vision"}]}, now)
    video = {"mode": "add", "documentId": DOCUMENT, "documentUrl": url}
    memory.ingest(INDEX, "first", {"videos": [video]}, now).looked_at = True


async def ask_both(way: Way, case: Case) -> Both:
    """Our client first, then the package with the very body that ours sent."""
    async with endpoint(way, case) as running:
        options = replace(way.options(case.model, running), **(case.options or {}))
        async with _our_member(way, options, case.timeout) as member:
            member.form = case.form(member.form) or member.form
            parts = member.body(_request(options, case))
            response = await member.client.post(*parts)
            ours = response if isinstance(response, Failure) else member.read(response)
        body = json.loads(b"".join(parts))
        theirs, headers = await _ask_theirs(way, running, case.timeout, body)
        return Both(ours, response, theirs, headers, body, list(running.stats.asked.values()))


@asynccontextmanager
async def _our_member(way: Way, options: ModelOptions, timeout: float) -> AsyncIterator[Member]:
    clock = SystemClock()
    environ = {name: value for name, value in ENVIRON.items() if not (way.entra and name.endswith("_API_KEY"))}
    members = members_of(options, LimitOptions(timeout_seconds=timeout), ())
    async with open_pool(members, environ, clock, open_credential=FakeCredential(clock, 3600).open) as pool:
        yield pool.members[0]


def _request(options: ModelOptions, case: Case) -> Request:
    template = tail_template(options)
    files = [_padded(encoded(photo(*size)), case.padding) for size in case.sizes]
    if case.video:
        body = document_tail(options).render(DOCUMENT, case.video)
    elif case.url:
        body = template.render_url(case.url)
    elif len(files) > 1:
        images = [LabelledImage(f"Image {n}: {n}.jpg", "jpeg", file) for n, file in enumerate(files, 1)]
        body = template.render_several(images)
    else:
        body = template.render("jpeg", files[0])
    width, height = case.sizes[0]
    sent = Sent("jpeg", width, height, sum(map(len, files)))
    probe = Probe("jpeg", width, height)
    return Request(SourceImage("a.jpg", "file:///a.jpg", "1"), probe, None, None, sent, body, None, None)


def _padded(jpeg: bytes, count: int) -> bytes:
    return jpeg[:-2] + bytes(count) + jpeg[-2:]


async def _ask_theirs(
    way: Way, running: Running, timeout: float, body: dict[str, Any]
) -> tuple[ChatCompletion | Exception, Mapping[str, str]]:
    more = {name: value for name, value in body.items() if name not in KNOWN}
    known = {name: value for name, value in body.items() if name in KNOWN}
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(way.client(running, timeout, extended=bool(more)))
        asked = {"model": DEPLOYMENT, **known, **({"extra_body": more} if more else {})}
        try:
            raw = await client.chat.completions.with_raw_response.create(**asked)
        except openai.APIStatusError as error:
            return error, error.response.headers
        except openai.OpenAIError as error:
            return error, {}
        return raw.parse(), raw.headers
