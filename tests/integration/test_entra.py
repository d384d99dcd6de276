"""Azure without keys: a night in which tokens expire, with a credential of ours and with Azure's own."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, PermissionDeniedError

from pipeline.api.asker import Asker
from pipeline.api.options import EndpointOptions, LimitOptions, ModelOptions
from pipeline.api.pool.members import members_of
from pipeline.api.pool.opening import open_pool
from pipeline.api.throttle import Throttle
from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from pipeline.emulator.wire.entra import issue
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Reply
from tests.helpers.clock import FakeClock
from tests.helpers.command import nightcap
from tests.helpers.entra import FakeCredential
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate
from tests.integration.test_fault_table import request, smaller

pytestmark = pytest.mark.integration

RESOURCE = "https://cognitiveservices.azure.com"
IDLE_SECONDS = 0.003
HOUR = 3600.0


async def ask_every_minute(
    running: Running,
    clock: FakeClock,
    credential: FakeCredential,
    minutes: int,
    endpoints: Sequence[EndpointOptions] = (),
) -> list[Answer]:
    """One image a minute."""
    limits = LimitOptions()
    members = members_of(
        ModelOptions(name="azure:captions", azure_model="gpt-4o", base_url=running.endpoint), limits, endpoints
    )
    answers = []
    async with open_pool(members, {}, clock, open_credential=credential.open) as pool:
        asker = Asker(Throttle(pool, clock), limits, clock, random.Random(1), lambda attempt: None)
        for _ in range(minutes):
            with clock.autojump(IDLE_SECONDS):
                answers.append(await asker.ask(request(64, 48), smaller))
                await clock.sleep(60)
    return answers


async def test_a_night_of_tokens_that_expire() -> None:
    clock = FakeClock()
    credential = FakeCredential(clock, HOUR)
    async with emulate(EmulatorOptions(entra_seconds=HOUR), clock) as running:
        answers = await ask_every_minute(running, clock, credential, 180)
        assert running.stats.requests == 180, "none was refused"
    assert {(type(answer.outcome), answer.attempts) for answer in answers} == {(Reply, 1)}
    assert credential.asked == 4, "each serves for 55 minutes"


async def test_a_token_that_an_endpoint_refuses_costs_an_image_nothing() -> None:
    """As when it is revoked, or when the clock of this machine is wrong: it is used after its end."""
    clock = FakeClock()
    credential = Late(clock, HOUR)
    async with emulate(EmulatorOptions(entra_seconds=HOUR), clock) as running:
        answers = await ask_every_minute(running, clock, credential, 150)
        assert running.stats.requests == 152, "two were refused, and asked again"
    assert {(type(answer.outcome), answer.attempts) for answer in answers} == {(Reply, 1)}


class Late(FakeCredential):
    """Says that its tokens live for ever."""

    async def get_token(self):
        token = await super().get_token()
        return type(token)(token.text, token.expires_on + 100 * HOUR)


async def test_an_identity_that_may_not_is_told_after_two_tries() -> None:
    clock = FakeClock()
    credential = FakeCredential(clock, -1)  # whatever it gives is no good
    async with emulate(EmulatorOptions(entra_seconds=HOUR), clock) as running:
        with pytest.raises(RunError, match=r"refused the credentials.*Access token is missing") as caught:
            await ask_every_minute(running, clock, credential, 1)
        assert running.stats.requests == 2
    assert all(token not in str(caught.value) for token in credential.given)


async def test_no_token_ends_the_run_with_the_reason() -> None:
    clock = FakeClock()
    credential = FakeCredential(clock, HOUR)
    credential.trouble = Failure("credentials_refused", "Entra ID gives no token. Because.", code="no_token")
    async with emulate(EmulatorOptions(entra_seconds=HOUR), clock) as running:
        with pytest.raises(RunError, match=r"^Entra ID gives no token\. Because\.$"):
            await ask_every_minute(running, clock, credential, 1)


async def test_endpoints_of_a_cloud_share_a_token() -> None:
    clock = FakeClock()
    credential = FakeCredential(clock, HOUR)
    both = [EndpointOptions(auth="entra"), EndpointOptions()]
    async with emulate(EmulatorOptions(entra_seconds=HOUR), clock) as running:
        await ask_every_minute(running, clock, credential, 4, both)
    assert credential.opened == 1


async def test_the_openai_package_with_tokens() -> None:
    async with emulate(EmulatorOptions(entra_seconds=HOUR)) as running:

        async def token() -> str:
            return issue(RESOURCE, int(running.service._clock.time()), 60)[0]

        dated = AsyncAzureOpenAI(
            azure_endpoint=running.endpoint, azure_ad_token_provider=token, api_version="2024-10-21", max_retries=0
        )
        undated = AsyncOpenAI(base_url=f"{running.endpoint}/openai/v1/", api_key=token, max_retries=0)
        keyed = AsyncAzureOpenAI(
            azure_endpoint=running.endpoint, api_key="0123", api_version="2024-10-21", max_retries=0
        )
        hello = [{"role": "user", "content": "Hello"}]
        for client in (dated, undated):
            async with client:
                assert (await client.chat.completions.create(model="gpt-4o", messages=hello)).choices
        async with keyed:
            with pytest.raises(PermissionDeniedError, match="Key based authentication is disabled"):
                await keyed.chat.completions.create(model="gpt-4o", messages=hello)


async def test_the_command_with_a_managed_identity_whose_tokens_live_for_seconds(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 12)
    out = tmp_path / "out"
    async with emulate(EmulatorOptions(entra_seconds=1, latency=0.6)) as running:
        env = {
            "AZURE_OPENAI_ENDPOINT": running.endpoint,
            "AZURE_OPENAI_API_KEY": "",
            "IDENTITY_ENDPOINT": f"{running.endpoint}/identity/token",
            "IDENTITY_HEADER": "any",
        }
        model = ("-m", "azure:captions", "--azure-model", "gpt-4o")
        doctor = await nightcap("doctor", *model, "--json", env=env)
        ended = await nightcap("run", tmp_path / "photos", "-o", out, *model, "--concurrency", "1", env=env)
    told = {check["name"]: check["text"] for check in json.loads(doctor.out)}
    assert "comes from ManagedIdentityCredential" in told["credentials"]
    assert "accepts the token" in told["endpoint"]
    assert ended.code == 0, ended.err
    rows = pq.read_table(out).to_pylist()
    assert {row["status"] for row in rows} == {"captioned"}
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"eyJ" not in written + ended.out.encode() + ended.err.encode() + doctor.out.encode()


async def test_the_command_without_any_credential(tmp_path: Path) -> None:
    env = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com", "AZURE_TOKEN_CREDENTIALS": "environmentcredential"}
    ended = await nightcap("doctor", "-m", "azure:d", "--azure-model", "gpt-4o", env=env)
    assert ended.code == 3
    assert "AZURE_OPENAI_API_KEY is not set" in ended.out
    assert "EnvironmentCredential" in ended.out
    assert "NO endpoint" not in ended.out, "it was not asked"
    assert not ended.err
