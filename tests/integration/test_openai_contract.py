"""The official `openai` package talks to the emulator, on which our own client is tested."""

import base64
import json
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI

from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate, emulate_process

pytestmark = pytest.mark.integration

DATED = "2024-10-21"


def messages(width: int = 640, height: int = 480, detail: str = "high"):
    url = f"data:image/jpeg;base64,{base64.b64encode(encoded(photo(width, height))).decode()}"
    return [
        {"role": "system", "content": "You are a helpful assistant."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Describe this picture:"},
                {"type": "image_url", "image_url": {"url": url, "detail": detail}},
            ],
        },
    ]


def client_of(running: Running, retries: int = 0) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=running.base_url, api_key="sk-test", max_retries=retries)


def azure_client_of(running: Running, version: str = DATED) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(azure_endpoint=running.endpoint, api_key="test", api_version=version, max_retries=0)


@pytest.fixture
async def client(emulator) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(emulator) as client:
        yield client


async def test_a_caption_from_openai(client):
    raw = await client.chat.completions.with_raw_response.create(model="gpt-4o", messages=messages(), max_tokens=100)
    completion = raw.parse()
    [choice] = completion.choices
    assert choice.finish_reason == "stop"
    assert choice.message.content.startswith("A 640x480 jpeg picture")
    assert choice.message.refusal is None
    assert completion.usage.prompt_tokens == 425 + 21
    assert completion.usage.total_tokens == 425 + 21 + completion.usage.completion_tokens
    assert completion.usage.prompt_tokens_details.cached_tokens == 0
    assert completion.usage.completion_tokens_details.reasoning_tokens == 0
    assert raw.request_id == completion._request_id


async def test_the_models(client):
    assert "gpt-4o" in [model.id async for model in client.models.list()]


async def test_an_answer_cut_at_its_limit(client):
    completion = await client.chat.completions.create(model="gpt-4o", messages=messages(), max_tokens=7)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 7


async def test_an_answer_in_the_form_of_a_schema(client):
    schema = {"type": "object", "properties": {"title": {"type": "string"}, "people": {"type": "integer"}}}
    completion = await client.chat.completions.create(
        model="gpt-4o",
        messages=messages(),
        response_format={"type": "json_schema", "json_schema": {"name": "caption", "schema": schema}},
    )
    assert set(json.loads(completion.choices[0].message.content)) == {"title", "people"}


@pytest.mark.parametrize("path", ["deployment", "v1"])
async def test_a_caption_from_azure(path):
    async with emulate(EmulatorOptions(deployments={"captions": "gpt-4o-2024-11-20"}, api_key="test")) as running:
        undated = AsyncOpenAI(base_url=f"{running.endpoint}/openai/v1/", api_key="test", max_retries=0)
        async with azure_client_of(running) if path == "deployment" else undated as client:
            completion = await client.chat.completions.create(model="captions", messages=messages(), max_tokens=100)
            with pytest.raises(openai.NotFoundError) as missing:
                await client.chat.completions.create(model="other", messages=messages(), max_tokens=100)
    assert completion.model == "gpt-4o-2024-11-20"
    assert completion.choices[0].message.content.startswith("A 640x480 jpeg picture")
    assert completion.choices[0].content_filter_results["hate"] == {"filtered": False, "severity": "safe"}
    assert completion.prompt_filter_results[0]["prompt_index"] == 0
    assert missing.value.code == "DeploymentNotFound"


async def test_azures_enhancements_through_extra_body(emulator):
    base_url = f"{emulator.endpoint}/openai/deployments/vision/extensions"
    async with AsyncAzureOpenAI(base_url=base_url, api_key="test", api_version="2023-12-01-preview") as client:
        completion = await client.chat.completions.create(
            model="vision",
            messages=messages(),
            max_tokens=100,
            extra_body={
                "enhancements": {"ocr": {"enabled": True}, "grounding": {"enabled": True}},
                "dataSources": [{"type": "AzureComputerVision", "parameters": {"endpoint": "x", "key": "y"}}],
            },
        )
    assert completion.choices[0].enhancements["grounding"]["status"] == "Success"


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"model": "gpt-nothing"}, openai.NotFoundError, "model_not_found"),
        ({"model": "o4-mini", "max_tokens": 50}, openai.BadRequestError, "unsupported_parameter"),
        ({"model": "o4-mini", "temperature": 0}, openai.BadRequestError, "unsupported_value"),
        ({"messages": messages(detail="sharp")}, openai.BadRequestError, "invalid_value"),
        ({"extra_body": {"max_token": 5}}, openai.BadRequestError, None),
    ],
)
async def test_refused_requests(client, change, error, code):
    with pytest.raises(error) as caught:
        await client.chat.completions.create(**({"model": "gpt-4o", "messages": messages()} | change))
    assert caught.value.code == code
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("unauthorized", openai.AuthenticationError),
        ("forbidden", openai.PermissionDeniedError),
        ("insufficient_quota", openai.RateLimitError),
        ("server_error", openai.InternalServerError),
        ("overloaded", openai.InternalServerError),
        ("bad_gateway", openai.InternalServerError),
        ("cut", openai.APIConnectionError),
        ("invalid_json", json.JSONDecodeError),
    ],
)
async def test_what_goes_wrong_is_what_the_client_expects_of_it(fault, error):
    async with emulate(EmulatorOptions(scenario=(Step(fault),))) as running, client_of(running) as client:
        with pytest.raises(error):
            await client.chat.completions.create(model="gpt-4o", messages=messages())


async def test_the_client_obeys_the_hint_of_a_rate_limit():
    steps = (Step("rate_limit", requests=(1, 2), retry_after=0.01),)
    async with emulate(EmulatorOptions(scenario=steps)) as running, client_of(running, retries=2) as client:
        completion = await client.chat.completions.create(model="gpt-4o", messages=messages())
        assert completion.choices[0].message.content
        assert (running.stats.requests, running.stats.answered) == (3, 1)


async def test_the_command_serves_the_same():
    with emulate_process("--rpm", "1") as process:
        async with AsyncOpenAI(base_url=process.base_url, api_key="sk-test", max_retries=0) as client:
            completion = await client.chat.completions.create(model="gpt-4o", messages=messages())
            assert "jpeg picture" in completion.choices[0].message.content
            with pytest.raises(openai.RateLimitError, match="requests per min"):
                await client.chat.completions.create(model="gpt-4o", messages=messages())
