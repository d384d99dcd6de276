"""Video prompts over real HTTP: each variant of the guides, and what they must not look like."""

import copy
import json
from typing import Any

import aiohttp
import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.clock import FakeClock
from tests.helpers.servers import emulate

KEY = "0123456789abcdef"
URL = "https://acme.example/a.mp4"
PATH = "/openai/deployments/gpt4v/extensions/chat/completions?api-version=2023-12-01-preview"
OWN: dict[str, Any] = {"indexName": "videos", "videoUrls": [f"{URL}?sig=x"]}
VISION = {"computerVisionBaseUrl": "https://v.example/computervision", "computerVisionApiKey": KEY, **OWN}
NOTE = {"endpoint": "https://v.example", "computerVisionApiKey": KEY, **OWN}
IDENTITY = {"indexName": "videos", "documentAuthenticationKind": "managedidentity"}


def question(parameters: object = OWN, name: str = "dataSources") -> dict[str, Any]:
    content = [{"type": "acv_document_id", "acv_document_id": "one"}, {"type": "text", "text": "Describe this video:"}]
    return {
        "enhancements": {"video": {"enabled": True}},
        name: [{"type": "AzureComputerVisionVideoIndex", "parameters": parameters}],
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 100,
    }


async def ask(running: Running, body: object, path: str = PATH) -> tuple[int, dict[str, Any]]:
    headers = {"api-key": KEY, "Ocp-Apim-Subscription-Key": KEY}
    method = "PUT" if "retrieval" in path else "POST"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, running.endpoint + path, json=body) as response,
    ):
        return response.status, json.loads(await response.read())


@pytest.fixture
async def running():
    clock = FakeClock()
    deployments = {"gpt4v": "gpt-4-vision-preview", "other": "gpt-4o"}
    async with emulate(EmulatorOptions(api_key=KEY, deployments=deployments), clock) as found:
        retrieval, version = "/computervision/retrieval/indexes/videos", "?api-version=2023-05-01-preview"
        await ask(found, {}, retrieval + version)
        video = {"mode": "add", "documentId": "one", "documentUrl": URL}
        await ask(found, {"videos": [video]}, f"{retrieval}/ingestions/i{version}")
        await clock.settle()
        yield found


@pytest.mark.parametrize("parameters", [OWN, VISION, NOTE, IDENTITY])
@pytest.mark.parametrize("name", ["dataSources", "data_sources"])
async def test_each_variant_of_the_guides(running: Running, parameters: dict[str, Any], name: str) -> None:
    status, found = await ask(running, question(parameters, name))
    assert status == 200, found
    assert "A video, one of the index videos." in found["choices"][0]["message"]["content"]
    # 20 frames of 85, a transcript of 100, and the prompt with its frame.
    assert found["usage"]["prompt_tokens"] == 1700 + 100 + 11
    assert running.service.retrieval.queries == 1


def changed(**of: Any) -> dict[str, Any]:
    body = copy.deepcopy(question())
    body.update(of)
    return body


TEXT = {"type": "text", "text": "x"}
DOCUMENT = {"type": "acv_document_id", "acv_document_id": "one"}


@pytest.mark.parametrize(
    "body",
    [
        changed(dataSources=[]),
        changed(dataSources=[{"type": "AzureComputerVision", "parameters": OWN}]),
        changed(dataSources=None),
        changed(enhancements={"video": {"enabled": False}}),
        changed(enhancements=None),
        question({**OWN, "documentAuthenticationKind": "managedidentity"}),
        question({"indexName": "videos"}),
        question({"videoUrls": [URL]}),
        question({**OWN, "videoUrls": [URL, URL]}),
        question({**OWN, "videoUrls": URL}),
        question({**OWN, "videoUrls": ["az://a/b"]}),
        question({**OWN, "key": KEY}),
        question({**OWN, "computerVisionApiKey": KEY}),
        question({**VISION, "computerVisionBaseUrl": "https://v.example"}),
        question({**IDENTITY, "documentAuthenticationKind": "key"}),
        question({**IDENTITY, "endpoint": "https://v.example", "computerVisionApiKey": KEY}),
        changed(messages=[{"role": "user", "content": [TEXT, DOCUMENT]}]),
        changed(messages=[{"role": "user", "content": [TEXT]}]),
        changed(messages=[{"role": "user", "content": [DOCUMENT]}, {"role": "user", "content": [DOCUMENT, TEXT]}]),
        changed(messages=[{"role": "user", "content": [DOCUMENT, {"type": "image_url", "image_url": {"url": URL}}]}]),
        changed(messages=[{"role": "user", "content": [{"type": "acv_document_id"}, TEXT]}]),
    ],
)
async def test_wrong_shapes_are_refused(running: Running, body: dict[str, Any]) -> None:
    status, found = await ask(running, body)
    assert status == 400
    assert found["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (PATH.replace("2023-12-01", "2024-04-01"), 404),
        (PATH.replace("/extensions", ""), 400),
        (PATH.replace("gpt4v", "other"), 400),
    ],
)
async def test_where_it_is_not_known(running: Running, path: str, status: int) -> None:
    assert (await ask(running, question(), path))[0] == status


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({**OWN, "indexName": "absent"}, "Index does not exist"),
        ({**OWN, "videoUrls": ["https://acme.example/b.mp4"]}, "cannot be accessed"),
    ],
)
async def test_what_is_not_there_is_told_in_the_answer(running: Running, parameters: dict[str, Any], told: str) -> None:
    status, found = await ask(running, question(parameters))
    assert status == 200
    assert told in found["choices"][0]["messages"][0]["delta"]["content"]


async def test_a_wrong_key_of_the_resource(running: Running) -> None:
    assert (await ask(running, question({**VISION, "computerVisionApiKey": "wrong"})))[0] == 401
