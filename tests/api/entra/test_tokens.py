"""When a token is renewed, and who waits for it."""

import asyncio

import pytest

from pipeline.api.entra.clouds import PUBLIC
from pipeline.api.entra.tokens import AGAIN_SECONDS, RENEW_SECONDS, Tokens
from pipeline.items import Failure
from tests.helpers.clock import FakeClock
from tests.helpers.entra import FakeCredential

TROUBLE = Failure("unreachable", "No connection to Entra ID: gone")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def credential(clock: FakeClock) -> FakeCredential:
    return FakeCredential(clock, 3600)


@pytest.fixture
async def tokens(clock: FakeClock, credential: FakeCredential) -> Tokens:
    return Tokens(PUBLIC, clock, credential.open)


async def get(tokens: Tokens, clock: FakeClock) -> str | Failure:
    with clock.autojump():
        return await tokens.get()


async def test_one_token_serves_all_until_five_minutes_before_its_end(
    tokens: Tokens, clock: FakeClock, credential: FakeCredential
) -> None:
    with clock.autojump():
        assert len({await task for task in [asyncio.create_task(tokens.get()) for _ in range(50)]}) == 1
    assert credential.asked == 1
    await clock.advance(3600 - RENEW_SECONDS - 2)
    assert await get(tokens, clock) == credential.given[0]
    await clock.advance(2)
    assert await get(tokens, clock) == credential.given[1]
    assert credential.asked == 2


async def test_while_one_renews_it_the_others_go_on_with_the_old_one(
    tokens: Tokens, clock: FakeClock, credential: FakeCredential
) -> None:
    await get(tokens, clock)
    await clock.advance(3600 - RENEW_SECONDS)
    renewing = asyncio.create_task(tokens.get())
    await clock.settle()
    assert await tokens.get() == credential.given[0], "without waiting"
    await clock.advance(1)
    assert await renewing == credential.given[1]


async def test_trouble_matters_only_when_the_old_one_has_expired(
    tokens: Tokens, clock: FakeClock, credential: FakeCredential, caplog: pytest.LogCaptureFixture
) -> None:
    await get(tokens, clock)
    credential.trouble = TROUBLE
    await clock.advance(3600 - RENEW_SECONDS)
    for _ in range(5):
        assert await get(tokens, clock) == credential.given[0]
    assert credential.asked == 2, "not at each request"
    assert "good for 5 minutes: No connection to Entra ID: gone" in caplog.text
    await clock.advance(AGAIN_SECONDS)
    assert await get(tokens, clock) == credential.given[0]
    assert credential.asked == 3
    await clock.advance(RENEW_SECONDS)
    assert await get(tokens, clock) == TROUBLE
    credential.trouble = None
    assert await get(tokens, clock) == credential.given[1]
    assert all(token not in caplog.text for token in credential.given)


async def test_a_refused_token_is_replaced_once_by_a_credential_that_remembers_nothing(
    tokens: Tokens, clock: FakeClock, credential: FakeCredential
) -> None:
    first = await get(tokens, clock)
    assert isinstance(first, str)
    with clock.autojump():
        tasks = [asyncio.create_task(tokens.instead_of(first)) for _ in range(20)]
        assert {await task for task in tasks} == {credential.given[1]}
    assert (credential.asked, credential.opened) == (2, 2)


async def test_a_token_that_lives_for_seconds_is_used_until_its_end(
    tokens: Tokens, clock: FakeClock, credential: FakeCredential
) -> None:
    credential.seconds = 5
    for _ in range(4):
        await get(tokens, clock)
        await clock.advance(1)
    assert credential.asked == 1
    await clock.advance(2)
    await get(tokens, clock)
    assert credential.asked == 2
