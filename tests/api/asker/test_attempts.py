"""How often an image is asked about, when, and what the answer says of it."""

import asyncio
import json

import pytest

from pipeline.items import Failure, Reply
from tests.api.asker.desk import (
    BROKEN,
    COMPLETION,
    DONE,
    KEY,
    MAX_TOKENS,
    NO_CHOICE,
    NO_DEPLOYMENT,
    after,
    desk,
    rate_limited,
)
from tests.helpers.pool import limiter_of
from tests.helpers.scripted_server import ScriptedServer, http


async def test_an_answer_at_once(server: ScriptedServer) -> None:
    server.answers.append(DONE)
    async with desk(server.address) as d:
        answer = await d.ask()
    assert isinstance(answer.outcome, Reply)
    assert (answer.outcome.caption, answer.outcome.request_id) == ("A dog.", "req-1")
    assert (answer.attempts, answer.queue_ms, answer.latency_ms, d.retries) == (1, 0, 0, [])
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_times_of_an_answer(server: ScriptedServer) -> None:
    async with desk(server.address) as d:
        server.answers.extend([after(d.clock, 4, rate_limited(retry_after="20")), after(d.clock, 2.5, DONE)])
        before = d.clock.time()
        answer = await d.ask()
    assert isinstance(answer.outcome, Reply)
    assert (answer.attempts, answer.latency_ms, d.retries) == (2, 2500, ["rate_limited"])
    assert 20_000 <= answer.queue_ms <= 21_000
    assert answer.started_at.timestamp() == pytest.approx(before)
    seconds = (answer.finished_at - answer.started_at).total_seconds()
    assert seconds == pytest.approx(4 + answer.queue_ms / 1000 + 2.5, abs=0.001)


async def test_a_rate_limit_holds_everybody_and_the_retry_goes_first(server: ScriptedServer) -> None:
    async with desk(server.address, concurrency=1) as d:
        server.answers.extend([rate_limited(retry_after="30"), DONE])
        answers = await asyncio.gather(d.ask("a.jpg"), d.ask("b.jpg"), d.ask("c.jpg"))
    prompts = [json.loads(r.body)["messages"][0]["content"][0]["text"] for r in server.requests]
    assert prompts == ["Describe a.jpg.", "Describe a.jpg.", "Describe b.jpg.", "Describe c.jpg."]
    assert [answer.attempts for answer in answers] == [2, 1, 1]
    assert all(answer.queue_ms >= 30_000 for answer in answers)


async def test_rate_limits_use_up_no_attempt(server: ScriptedServer) -> None:
    async with desk(server.address, max_attempts=1) as d:
        server.answers.extend([rate_limited()] * 20)
        server.answers.append(DONE)
        answer = await d.ask()
        assert d.clock.elapsed > 60  # each wait is about as long as it has lasted: no storm without a hint
    assert isinstance(answer.outcome, Reply)
    assert answer.attempts == 21


async def test_a_fault_that_lasts_becomes_a_row(server: ScriptedServer) -> None:
    server.answers.append(BROKEN)
    async with desk(server.address, max_attempts=4) as d:
        answer = await d.ask()
    assert isinstance(answer.outcome, Failure)
    assert (answer.outcome.reason, answer.outcome.http_status) == ("server_error", 500)
    assert answer.attempts == len(server.requests) == 4
    assert d.retries == ["server_error"] * 3
    assert limiter_of(d.throttle).in_flight == 0


@pytest.mark.parametrize("fault", [BROKEN, b"", http(200, b"{"), http(200, {"choices": []}), http(503, b"<html>")])
async def test_a_fault_that_passes_is_forgotten(server: ScriptedServer, fault: bytes) -> None:
    server.answers.extend([fault, fault, DONE])
    async with desk(server.address) as d:
        answer = await d.ask()
    assert isinstance(answer.outcome, Reply)
    assert answer.attempts == 3


async def test_a_timeout_is_asked_again(server: ScriptedServer) -> None:
    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    server.answers.extend([hang, DONE])
    async with desk(server.address, timeout_seconds=0.1) as d:
        answer = await d.ask()
    assert isinstance(answer.outcome, Reply)
    assert (answer.attempts, d.retries) == (2, ["timeout"])


async def test_no_place_is_held_while_an_image_waits_for_its_next_try(server: ScriptedServer) -> None:
    async with desk(server.address, concurrency=1, max_attempts=2) as d:
        server.answers.extend([http(503, b"", retry_after="100"), DONE])
        slow = asyncio.create_task(d.ask("a.jpg"))
        while not server.requests:
            await asyncio.sleep(0)
        quick = await d.ask("b.jpg")
        assert quick.finished_at < (await slow).finished_at
        assert d.clock.elapsed >= 100


async def test_a_filtered_prompt_is_a_row_at_once(server: ScriptedServer) -> None:
    server.answers.append(http(400, {"error": {"code": "content_filter", "message": "Filtered.", "param": "prompt"}}))
    async with desk(server.address) as d:
        answer = await d.ask()
    assert isinstance(answer.outcome, Failure)
    assert (answer.outcome.status, answer.attempts) == ("filtered", 1)


async def test_the_throttle_takes_the_prediction_and_settles_with_the_usage(server: ScriptedServer) -> None:
    async with desk(server.address, tpm=60_000) as d:
        quota = limiter_of(d.throttle).tokens
        assert quota is not None
        minute = quota.windows[0]
        under_way: list[int] = []

        async def look(writer: asyncio.StreamWriter) -> None:
            under_way.append(minute.held)
            writer.write(DONE)

        server.answers.append(look)
        await d.ask()
        assert under_way == [1130 + MAX_TOKENS]
        assert minute.held == 1110


async def test_a_deployment_that_is_not_there_yet_gets_a_second_chance(server: ScriptedServer) -> None:
    server.answers.extend([NO_DEPLOYMENT, DONE])
    async with desk(server.address) as d:
        answer = await d.ask()
        assert d.clock.elapsed >= 30
    assert isinstance(answer.outcome, Reply)


async def test_an_outage_costs_no_image_its_attempts(server: ScriptedServer) -> None:
    async with desk(server.address, max_attempts=2) as d:
        server.answers.append(BROKEN)
        d.clock.call_later(200, lambda: server.answers.extend([DONE]) or server.answers.popleft())
        answers = await asyncio.gather(*(d.ask(f"{number}.jpg") for number in range(5)))
        assert 200 <= d.clock.elapsed <= 240
    assert all(isinstance(answer.outcome, Reply) for answer in answers)
    assert max(answer.attempts for answer in answers) > 2


async def test_the_limits_of_the_headers_are_learned(server: ScriptedServer) -> None:
    headers = {
        "x_ratelimit_limit_requests": "60",
        "x_ratelimit_remaining_requests": "59",
        "x_ratelimit_reset_requests": "1s",
    }
    server.answers.append(http(200, COMPLETION, **headers))
    async with desk(server.address, "openai") as d:
        await d.ask()
        begun = d.clock.elapsed
        await asyncio.gather(*(d.ask(f"{number}.jpg") for number in range(11)))
        assert d.clock.elapsed - begun == pytest.approx(10, abs=0.5)
        assert limiter_of(d.throttle).requests is not None
        assert limiter_of(d.throttle).requests.per_minute == 60


async def test_what_was_paid_for_and_useless_is_in_the_sum(server: ScriptedServer) -> None:
    server.answers.extend([NO_CHOICE, BROKEN, DONE])
    async with desk(server.address) as d:
        answer = await d.ask()
    assert isinstance(answer.outcome, Reply)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1105 + 1105, 7 + 5)
    assert answer.cost_usd == 1112 + 1110, "at a dollar a token"
    assert answer.remade
    assert answer.remade.predicted_prompt_tokens == 2 * 1130, "of what is on the bill"
