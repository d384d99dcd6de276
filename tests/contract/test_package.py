"""What the `openai` package does by itself against the emulator: lists models, waits as told, reads the command."""

import json

import openai
import pytest
from openai import AsyncOpenAI

from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.servers import emulate, emulate_process

pytestmark = pytest.mark.integration

ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is in the picture?"}]}


def client_of(running: Running, retries: int = 0) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=running.base_url, api_key="sk-test", max_retries=retries)


async def test_the_models(emulator: Running) -> None:
    async with client_of(emulator) as client:
        assert "gpt-4o" in [model.id async for model in client.models.list()]


async def test_a_parameter_that_does_not_exist(emulator: Running) -> None:
    async with client_of(emulator) as client:
        with pytest.raises(openai.BadRequestError, match="Unrecognized request argument") as caught:
            await client.chat.completions.create(**ASKED, extra_body={"max_token": 5})
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id
    assert caught.value.request_id.startswith("req_")


async def test_half_an_answer() -> None:
    async with emulate(EmulatorOptions(scenario=(Step("invalid_json"),))) as running, client_of(running) as client:
        with pytest.raises(json.JSONDecodeError):
            await client.chat.completions.create(**ASKED)


async def test_it_obeys_the_hint_of_a_rate_limit() -> None:
    steps = (Step("rate_limit", requests=(1, 2), retry_after=0.01),)
    async with emulate(EmulatorOptions(scenario=steps)) as running, client_of(running, retries=2) as client:
        completion = await client.chat.completions.create(**ASKED)
        assert completion.choices[0].message.content
        assert (running.stats.requests, running.stats.answered) == (3, 1)


async def test_the_command_serves_the_same() -> None:
    with emulate_process("--rpm", "1") as process:
        async with AsyncOpenAI(base_url=process.base_url, api_key="sk-test", max_retries=0) as client:
            completion = await client.chat.completions.create(**ASKED)
            assert completion.choices[0].message.content
            with pytest.raises(openai.RateLimitError, match="requests per min"):
                await client.chat.completions.create(**ASKED)
