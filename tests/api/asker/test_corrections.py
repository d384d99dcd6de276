"""What a model refuses is found out once, and asked otherwise."""

import asyncio
import json
from dataclasses import replace

import pytest

from pipeline.items import Failure, Reply, Sent
from tests.api.asker.desk import DONE, MAX_TOKENS, RENAME, desk, request
from tests.helpers.scripted_server import ScriptedServer, http


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
