"""One image through throttle, client and retry rule, over real HTTP and in virtual time."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pipeline.api.asker import Asker
from pipeline.api.attempt import Attempt
from pipeline.api.client import Client
from pipeline.api.endpoint import Endpoint
from pipeline.api.limits.rules import limit_rules
from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.pool.pool import Pool
from pipeline.api.throttle import Throttle, ThrottleClosed
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Probe, Reply, Request, Sent, SourceImage
from tests.helpers.clock import FakeClock
from tests.helpers.pool import DOLLAR_A_TOKEN, limiter_of, member
from tests.helpers.scripted_server import ScriptedServer, http

KEY = "sk-proj-Ab12Cd34Ef56Gh78"
MAX_TOKENS = 300
# Real seconds without any event after which virtual time goes on; the kernel carries bytes over in far less.
IDLE_SECONDS = 0.01

COMPLETION = {
    "model": "gpt-4o-2024-11-20",
    "choices": [{"finish_reason": "stop", "message": {"content": "A dog."}}],
    "usage": {"prompt_tokens": 1105, "completion_tokens": 5, "total_tokens": 1110},
}
DONE = http(200, COMPLETION, X_Request_Id="req-1")
BROKEN = http(
    500, {"error": {"message": "The server had an error.", "type": "server_error", "code": None, "param": None}}
)
RENAME = http(
    400,
    {
        "error": {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        }
    },
)


def rate_limited(**headers: str) -> bytes:
    return http(429, {"error": {"code": "429", "message": "Rate limit is exceeded."}}, **headers)


@dataclass
class Desk:
    """An asker and what belongs to it."""

    asker: Asker
    throttle: Throttle
    clock: FakeClock
    retries: list[str] = field(default_factory=list)
    smaller: list[Request] = field(default_factory=list)
    """What a too large image is made into."""

    async def ask(self, key: str = "a.jpg") -> Answer:
        return await self.asker.ask(request(key), self.remake)

    async def remake(self, request: Request) -> Request | None:
        return self.smaller.pop() if self.smaller else None


@asynccontextmanager
async def desk(address: str, provider: str = "compatible", **limits: Any) -> AsyncIterator[Desk]:
    clock = FakeClock()
    options = LimitOptions(**limits)
    endpoint = Endpoint("openai", f"{address}/v1/chat/completions", "", {"Authorization": f"Bearer {KEY}"}, "gpt-4o")
    retries: list[str] = []

    def note(attempt: Attempt) -> None:
        if attempt.retried:
            assert isinstance(attempt.outcome, Failure)
            retries.append(attempt.outcome.reason)

    async with Client(endpoint, options.timeout_seconds) as client:
        asked = member(
            options, limit_rules(provider, options), clock, client, max_tokens=MAX_TOKENS, price=DOLLAR_A_TOKEN
        )
        throttle = Throttle(Pool([asked]), clock)
        asker = Asker(throttle, options, clock, random.Random(1), note)
        with clock.autojump(IDLE_SECONDS):
            yield Desk(asker, throttle, clock, retries)


def request(key: str) -> Request:
    template = tail_template(ModelOptions(prompt=f"Describe {key}."))
    return Request(
        image=SourceImage(key, f"file:///{key}", "1"),
        probe=Probe("jpeg", 640, 480),
        content_hash="blake2b:00",
        original_bytes=4,
        sent=Sent("jpeg", 640, 480, 4),
        body=template.render("jpeg", b"data"),
        predicted_image_tokens=1105,
        predicted_prompt_tokens=1130,
    )


def after(clock: FakeClock, seconds: float, answer: bytes) -> Callable[[asyncio.StreamWriter], Any]:
    """An answer that takes virtual time."""

    async def write(writer: asyncio.StreamWriter) -> None:
        await clock.sleep(seconds)
        writer.write(answer)

    return write


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


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            http(401, {"error": {"code": "invalid_api_key", "message": f"Incorrect API key provided: {KEY}"}}),
            "check the key",
        ),
        (
            http(429, {"error": {"code": "insufficient_quota", "message": "You exceeded your quota."}}),
            "quota is used up",
        ),
        (
            http(404, {"error": {"code": "model_not_found", "message": "It does not exist."}}),
            "does not know the model",
        ),
        (http(308, Location="https://elsewhere.example/v1"), "redirect to https://elsewhere.example/v1"),
        (rate_limited(retry_after="7200"), "wait 120 minutes"),
    ],
)
async def test_trouble_of_the_whole_run_is_raised_after_one_request(
    server: ScriptedServer, answer: bytes, words: str
) -> None:
    server.answers.append(answer)
    async with desk(server.address) as d:
        with pytest.raises(RunError, match=words) as caught:
            await d.ask()
    assert KEY not in str(caught.value)
    assert len(server.requests) == 1
    assert limiter_of(d.throttle).in_flight == 0


async def test_an_endpoint_that_cannot_be_reached_stops_the_run_when_patience_ends(server: ScriptedServer) -> None:
    gone = server.address
    await server.stop()
    async with desk(gone, patience_seconds=300, max_attempts=1) as d:
        limiter_of(d.throttle).pause(1000, d.clock.monotonic())  # waiting for its turn is not the endpoint's fault
        with pytest.raises(RunError, match="could not be reached for 3"):
            await d.ask()
        assert 1300 <= d.clock.elapsed <= 1340
    assert len(d.retries) < 100  # one every few seconds
    await server.start()


async def test_the_model_is_asked_once_which_name_it_likes(server: ScriptedServer) -> None:
    server.answers.extend([RENAME, DONE])
    async with desk(server.address) as d:
        first, second = await d.ask("a.jpg"), await d.ask("b.jpg")
    assert (first.attempts, second.attempts, d.retries) == (2, 1, ["rejected:unsupported_parameter"])
    bodies = [json.loads(received.body) for received in server.requests]
    assert ["max_tokens" in body for body in bodies] == [True, False, False]
    assert [body.get("max_completion_tokens") for body in bodies] == [None, MAX_TOKENS, MAX_TOKENS]


async def test_a_model_that_likes_neither_name_ends_as_a_row(server: ScriptedServer) -> None:
    server.answers.append(RENAME)
    async with desk(server.address) as d:
        answer = await d.ask()
    assert isinstance(answer.outcome, Failure)
    assert answer.outcome.reason == "rejected:unsupported_parameter"
    assert answer.attempts == len(server.requests) == 2


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


@pytest.mark.parametrize("fault", [BROKEN, rate_limited(retry_after="100")], ids=["sleeping", "in the line"])
async def test_a_stop_wakes_an_image_that_waits_for_its_next_try(server: ScriptedServer, fault: bytes) -> None:
    server.answers.append(fault)
    async with desk(server.address, max_attempts=100) as d:
        d.clock.call_later(50, d.throttle.close)
        with pytest.raises(ThrottleClosed):
            await d.ask()
        assert d.clock.elapsed == pytest.approx(50)


async def test_a_stop_leaves_alone_what_is_in_flight(server: ScriptedServer) -> None:
    async with desk(server.address, concurrency=1) as d:
        server.answers.append(after(d.clock, 10, DONE))
        d.clock.call_later(5, d.throttle.close)
        sent, waiting = await asyncio.gather(d.ask("a.jpg"), d.ask("b.jpg"), return_exceptions=True)
    assert isinstance(sent, Answer)
    assert isinstance(sent.outcome, Reply)
    assert isinstance(waiting, ThrottleClosed)


async def test_cancelling_gives_the_place_back(server: ScriptedServer) -> None:
    async with desk(server.address) as d:
        server.answers.append(after(d.clock, 1000, DONE))
        asking = asyncio.create_task(d.ask())
        d.clock.call_later(5, asking.cancel)
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert limiter_of(d.throttle).in_flight == 0


NO_DEPLOYMENT = http(404, {"error": {"code": "DeploymentNotFound", "message": "It does not exist."}})


async def test_a_deployment_that_is_not_there_yet_gets_a_second_chance(server: ScriptedServer) -> None:
    server.answers.extend([NO_DEPLOYMENT, DONE])
    async with desk(server.address) as d:
        answer = await d.ask()
        assert d.clock.elapsed >= 30
    assert isinstance(answer.outcome, Reply)


async def test_a_deployment_that_never_comes_stops_the_run(server: ScriptedServer) -> None:
    server.answers.append(NO_DEPLOYMENT)
    async with desk(server.address) as d:
        with pytest.raises(RunError, match="does not know the model"):
            await d.ask()
    assert len(server.requests) == 2


async def test_an_outage_costs_no_image_its_attempts(server: ScriptedServer) -> None:
    async with desk(server.address, max_attempts=2) as d:
        server.answers.append(BROKEN)
        d.clock.call_later(200, lambda: server.answers.extend([DONE]) or server.answers.popleft())
        answers = await asyncio.gather(*(d.ask(f"{number}.jpg") for number in range(5)))
        assert 200 <= d.clock.elapsed <= 240
    assert all(isinstance(answer.outcome, Reply) for answer in answers)
    assert max(answer.attempts for answer in answers) > 2


async def test_an_outage_that_lasts_stops_the_run(server: ScriptedServer) -> None:
    server.answers.append(BROKEN)
    async with desk(server.address, max_attempts=2, patience_seconds=300) as d:
        asking = [asyncio.create_task(d.ask(f"{number}.jpg")) for number in range(10)]
        with pytest.raises(RunError, match="nothing but errors for 3"):
            await asyncio.gather(*asking)
        assert 300 <= d.clock.elapsed <= 340
        d.throttle.close()
        await asyncio.gather(*asking, return_exceptions=True)


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


NO_CHOICE = http(200, {"choices": [], "usage": {"prompt_tokens": 1105, "completion_tokens": 7, "total_tokens": 1112}})


async def test_what_was_paid_for_and_useless_is_in_the_sum(server: ScriptedServer) -> None:
    server.answers.extend([NO_CHOICE, BROKEN, DONE])
    async with desk(server.address) as d:
        answer = await d.ask()
    assert isinstance(answer.outcome, Reply)
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1105 + 1105, 7 + 5)
    assert answer.cost_usd == 1112 + 1110, "at a dollar a token"
    assert answer.remade
    assert answer.remade.predicted_prompt_tokens == 2 * 1130, "of what is on the bill"


async def test_a_stop_after_an_answer_that_was_paid_for_leaves_a_row(server: ScriptedServer) -> None:
    server.answers.extend([NO_CHOICE, rate_limited(retry_after="100")])
    async with desk(server.address) as d:
        d.clock.call_later(50, d.throttle.close)
        answer = await d.ask()
    assert isinstance(answer.outcome, Failure)
    assert (answer.outcome.reason, answer.attempts, answer.cost_usd) == ("rate_limited", 2, 1112)


TOO_LARGE = http(413, b"<html><title>413 Request Entity Too Large</title></html>", Content_Type="text/html")


async def test_an_image_that_is_too_large_is_sent_smaller_once(server: ScriptedServer) -> None:
    server.answers.extend([TOO_LARGE, DONE])
    async with desk(server.address) as d:
        d.smaller.append(replace(request("a.jpg"), sent=Sent("jpeg", 452, 339, 4), predicted_prompt_tokens=600))
        answer = await d.ask()
    assert isinstance(answer.outcome, Reply)
    assert answer.remade
    assert (answer.remade.sent.width, answer.remade.predicted_prompt_tokens, answer.remade.body) == (452, 600, b"")
    assert (answer.attempts, d.retries) == (2, ["rejected:too_large"])


@pytest.mark.parametrize("smaller", [0, 2], ids=["none", "still too large"])
async def test_an_image_that_cannot_be_small_enough_is_a_row(server: ScriptedServer, smaller: int) -> None:
    server.answers.append(TOO_LARGE)
    async with desk(server.address) as d:
        d.smaller.extend([request("a.jpg")] * smaller)
        answer = await d.ask()
    assert isinstance(answer.outcome, Failure)
    assert (answer.outcome.reason, len(server.requests)) == ("rejected:too_large", 1 + bool(smaller))


async def test_many_at_once_find_out_together_what_a_model_refuses(server: ScriptedServer) -> None:
    server.answers.extend([RENAME] * 4)
    server.answers.append(DONE)
    async with desk(server.address) as d:
        answers = await asyncio.gather(*(d.ask(f"{number}.jpg") for number in range(4)))
    assert all(isinstance(answer.outcome, Reply) for answer in answers)
    assert [answer.attempts for answer in answers] == [2] * 4


async def test_a_detail_that_is_refused_is_left_out_from_then_on(server: ScriptedServer) -> None:
    message = "Unknown parameter: 'messages[0].content[1].image_url.detail'."
    server.answers.extend([http(400, {"error": {"message": message, "code": "unknown_parameter"}}), DONE])
    async with desk(server.address) as d:
        await d.ask("a.jpg")
        await d.ask("b.jpg")
    assert [b'"detail"' in received.body for received in server.requests] == [True, False, False]
