"""The emulator over real HTTP: routes, delivery, what a client sees when things break."""

import asyncio
import base64
import json

import aiohttp
import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions, EndpointOptions
from pipeline.errors import UserError
from tests.helpers.clock import FakeClock
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate

URL = f"data:image/jpeg;base64,{base64.b64encode(encoded(photo())).decode()}"
REQUEST = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}],
}


async def post(running: Running, path: str = "/v1/chat/completions", body: object = REQUEST, **headers: str):
    async with (
        aiohttp.ClientSession() as session,
        session.post(running.endpoint + path, json=body, headers=headers) as response,
    ):
        return response.status, response.headers, await response.read()


async def get(running: Running, path: str, **headers: str):
    async with aiohttp.ClientSession() as session, session.get(running.endpoint + path, headers=headers) as response:
        return response.status, await response.json()


async def test_every_path_of_both_providers(emulator):
    for path in (
        "/v1/chat/completions",
        "/openai/v1/chat/completions",
        "/openai/deployments/d/chat/completions?api-version=2024-10-21",
        "/openai/deployments/d/extensions/chat/completions?api-version=2023-12-01-preview",
    ):
        status, headers, body = await post(emulator, path)
        assert status == 200, path
        assert headers["Content-Type"].startswith("application/json")
        assert "jpeg picture" in json.loads(body)["choices"][0]["message"]["content"]
    assert emulator.stats.answered == 4
    assert emulator.base_url == f"{emulator.endpoint}/v1"


async def test_named_endpoints_answer_under_their_names():
    async with emulate(EmulatorOptions(endpoints={"east": EndpointOptions(rpm=1)})) as running:
        assert [(await post(running, "/east/v1/chat/completions"))[0] for _ in range(2)] == [200, 429]
        assert (await post(running, "/east/openai/v1/chat/completions", REQUEST | {"model": "d"}))[0] == 200
        assert (await post(running))[0] == 200
        assert (await post(running, "/west/v1/chat/completions"))[0] == 404
        assert (await get(running, "/east/v1/models"))[0] == 200
        assert (await get(running, "/stats"))[1]["endpoints"]["east"]["answered"] == 2


async def test_a_good_answer_under_a_wrong_content_type():
    async with emulate(EmulatorOptions(scenario=(Step("wrong_content_type"),))) as running:
        status, headers, body = await post(running)
        assert (status, headers["Content-Type"]) == (200, "text/plain")
        assert json.loads(body)["choices"]
        assert running.stats.answered == 1


async def test_unknown_paths_are_refused_in_the_providers_manner(emulator):
    status, _, body = await post(emulator, "/v1/chat/completion")
    assert (status, json.loads(body)["error"]["message"]) == (404, "Invalid URL (POST /v1/chat/completion)")
    status, _, body = await post(emulator, "/openai/deployments/d/chat/completions")
    assert (status, json.loads(body)["error"]) == (404, {"code": "404", "message": "Resource not found"})
    assert emulator.stats.answered == 0


@pytest.mark.parametrize(("provider", "openai", "azure"), [("openai", 200, 404), ("azure", 404, 200)])
async def test_one_provider_alone(provider, openai, azure):
    async with emulate(EmulatorOptions(provider=provider)) as running:
        assert (await post(running))[0] == openai
        assert (await post(running, "/openai/v1/chat/completions"))[0] == azure


async def test_keys_of_either_kind():
    async with emulate(EmulatorOptions(api_key="right")) as running:
        azure = "/openai/v1/chat/completions"
        assert (await post(running, Authorization="Bearer right"))[0] == 200
        assert (await post(running, **{"api-key": "right"}))[0] == 401, "OpenAI knows no such header"
        assert (await post(running, azure, **{"api-key": "right"}))[0] == 200
        assert (await post(running, azure, Authorization="Bearer right"))[0] == 200
        assert (await post(running, azure, **{"api-key": "wrong"}))[0] == 401
        assert (await get(running, "/v1/models"))[0] == 401
        assert (await get(running, "/v1/models", Authorization="Bearer right"))[0] == 200


async def test_tokens_in_place_of_keys():
    clock = FakeClock()
    async with emulate(EmulatorOptions(entra_seconds=60), clock) as running:
        azure, identity = "/openai/v1/chat/completions", "/identity/token?resource=https://"
        assert (await post(running))[0] == 200, "OpenAI takes what it took"
        for audience, status in (("cognitiveservices.azure.com", 200), ("storage.azure.com", 401)):
            given = (await get(running, identity + audience, **{"X-IDENTITY-HEADER": "any"}))[1]["access_token"]
            assert (await post(running, azure, Authorization=f"Bearer {given}"))[0] == status
            assert (await get(running, "/openai/v1/models", Authorization=f"Bearer {given}"))[0] == status
            await clock.advance(60)
            assert (await post(running, azure, Authorization=f"Bearer {given}"))[0] == 401, "expired"
        for wrong in ("", "a.b.c", "x", "a.bnVsbA.c"):
            assert (await post(running, azure, Authorization=f"Bearer {wrong}"))[0] == 401
        status, _, told = await post(running, azure, **{"api-key": "right"})
        assert (status, json.loads(told)["error"]["code"]) == (403, "AuthenticationTypeDisabled")
        assert (await get(running, identity + "x"))[0] == 404, "asked without the header"
    async with emulate() as running:
        assert (await get(running, "/identity/token", **{"X-IDENTITY-HEADER": "any"}))[0] == 404


async def test_models_health_stats_and_reset(emulator):
    status, models = await get(emulator, "/v1/models")
    assert status == 200
    assert [model["id"] for model in models["data"]].count("gpt-4o") == 1
    assert (await get(emulator, "/openai/models?api-version=2024-10-21"))[0] == 200
    assert (await get(emulator, "/health")) == (200, {"status": "ok"})
    await post(emulator)
    assert (await get(emulator, "/stats"))[1]["answered"] == 1
    await post(emulator, "/reset")
    assert (await get(emulator, "/stats"))[1]["requests"] == 0


async def test_a_body_that_is_too_large():
    async with emulate(EmulatorOptions(max_body_bytes=1000)) as running:
        status, headers, _ = await post(running)
        assert (status, headers["Content-Type"]) == (413, "text/html")
        assert running.stats.statuses == {413: 1}


async def test_requests_in_flight_are_counted():
    async with emulate(EmulatorOptions(latency=0.05)) as running:
        await asyncio.gather(*(post(running) for _ in range(5)))
        assert running.stats.peak_in_flight == 5
        assert running.stats.in_flight == 0


@pytest.mark.parametrize("fault", ["cut", "cut_body"])
async def test_a_cut_connection(fault):
    async with emulate(EmulatorOptions(scenario=(Step(fault, requests=(1, 1)),))) as running:
        with pytest.raises(aiohttp.ClientError):
            await post(running)
        assert (await post(running))[0] == 200
        assert (running.stats.answered, running.stats.faults[fault]) == (1, 1)
        assert running.stats.statuses == {200: 1}


async def test_an_answer_in_small_pieces():
    async with emulate(EmulatorOptions(scenario=(Step("slow_body"),), time_scale=1000)) as running:
        status, _, body = await post(running)
        assert status == 200
        assert json.loads(body)["choices"]
        assert running.stats.answered == 1


async def test_a_client_that_goes_away_is_noticed():
    async with emulate(EmulatorOptions(scenario=(Step("hang"),))) as running:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await post(running)
        async with asyncio.timeout(5):
            while not running.stats.abandoned:
                await asyncio.sleep(0.01)
        assert running.stats.in_flight == 0
        assert running.stats.prompt_tokens > 0, "what was made is billed"


async def test_stopping_does_not_wait_for_a_request_that_hangs():
    async with emulate(EmulatorOptions(scenario=(Step("hang"),))) as running:
        asking = asyncio.create_task(post(running))
        while not running.stats.in_flight:
            await asyncio.sleep(0.01)
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_an_address_that_is_taken(emulator):
    port = int(emulator.endpoint.rpartition(":")[2])
    with pytest.raises(UserError, match=f"port {port}"):
        async with emulate(EmulatorOptions(port=port)):
            pass
