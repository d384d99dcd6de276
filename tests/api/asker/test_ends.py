"""What ends the asking of an image before its answer: trouble of the whole run, and a stop."""

import asyncio

import pytest

from pipeline.api.throttle import ThrottleClosed
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Reply
from tests.api.asker.desk import BROKEN, DONE, KEY, NO_CHOICE, NO_DEPLOYMENT, after, desk, rate_limited
from tests.helpers.pool import limiter_of
from tests.helpers.scripted_server import ScriptedServer, http

REFUSED = http(401, {"error": {"code": "invalid_api_key", "message": f"Incorrect API key provided: {KEY}"}})


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (REFUSED, "check the key"),
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


async def test_a_deployment_that_never_comes_stops_the_run(server: ScriptedServer) -> None:
    server.answers.append(NO_DEPLOYMENT)
    async with desk(server.address) as d:
        with pytest.raises(RunError, match="does not know the model"):
            await d.ask()
    assert len(server.requests) == 2


async def test_an_outage_that_lasts_stops_the_run(server: ScriptedServer) -> None:
    server.answers.append(BROKEN)
    async with desk(server.address, max_attempts=2, patience_seconds=300) as d:
        asking = [asyncio.create_task(d.ask(f"{number}.jpg")) for number in range(10)]
        with pytest.raises(RunError, match="nothing but errors for 3"):
            await asyncio.gather(*asking)
        assert 300 <= d.clock.elapsed <= 340
        d.throttle.close()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_a_stop_after_an_answer_that_was_paid_for_leaves_a_row(server: ScriptedServer) -> None:
    server.answers.extend([NO_CHOICE, rate_limited(retry_after="100")])
    async with desk(server.address) as d:
        d.clock.call_later(50, d.throttle.close)
        answer = await d.ask()
    assert isinstance(answer.outcome, Failure)
    assert (answer.outcome.reason, answer.attempts, answer.cost_usd) == ("server_error", 2, 1112)
    assert answer.trouble is None


async def test_trouble_of_the_run_after_an_answer_that_was_paid_for_leaves_a_row(server: ScriptedServer) -> None:
    server.answers.extend([NO_CHOICE, REFUSED])
    async with desk(server.address) as d:
        answer = await d.ask()
        with pytest.raises(RunError, match="check the key"):
            await d.ask()
    assert isinstance(answer.outcome, Failure)
    assert answer.outcome.reason == "server_error", "as the paid one failed: the next run asks again"
    assert (answer.attempts, answer.cost_usd) == (2, 1112)
    assert answer.trouble
    assert "check the key" in answer.trouble
