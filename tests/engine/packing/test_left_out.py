"""What a pack leaves out is asked alone; what the pack cost it stays on its row, however that ends."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.api.throttle import ThrottleClosed
from pipeline.engine.live.stages import ask_images, take_records
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Record, Request, Usage
from tests.engine.making import ScriptedProvider, answer, asking, line, reply, request

SHARE = Usage(prompt_tokens=40, completion_tokens=3, total_tokens=43)
LEFT_OUT = Failure("left_out", "The answer to its pack said nothing of use about it.", usage=SHARE)
SORRY = reply("I'm sorry, but I can't help with that.")


async def row_after(outcomes: Sequence[Answer | Exception], *reask: str) -> tuple[Record, list[Request]]:
    """The row of an image that is answered so, one after the other, and what was asked."""
    asked: list[Request] = []
    coming = iter(outcomes)

    async def next_one(each: Request) -> Answer:
        asked.append(each)
        outcome = next(coming)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    of = line(askers=1, preparers=1)
    with ThreadPoolExecutor(1) as disk:
        await of.in_flight.take(4)
        with of.ready.sending():
            await of.ready.put(request())
        await ask_images(of, asking(ScriptedProvider(next_one), disk, reask=reask))
    [row] = take_records(of, 10)
    return row, asked


def left_out() -> Answer:
    """As the pack's share: what was predicted of it stands beside it."""
    return replace(answer(LEFT_OUT), remade=replace(request(), predicted_prompt_tokens=41, predicted_image_tokens=30))


async def test_it_is_asked_alone_and_pays_for_both() -> None:
    row, asked = await row_after([left_out(), answer(reply())])
    assert [each.alone for each in asked] == [False, True]
    assert (row.status, row.caption, row.attempts) == ("captioned", "A cat.", 2)
    assert (row.prompt_tokens, row.completion_tokens, row.total_tokens) == (40 + 270, 3 + 5, 43 + 275)
    assert (row.predicted_prompt_tokens, row.predicted_image_tokens) == (41 + 270, 30 + 255)


@pytest.mark.parametrize("trouble", [ThrottleClosed(), RunError("The quota is used up.")])
async def test_when_the_run_ends_before_that_the_next_one_asks(trouble: Exception) -> None:
    row, _ = await row_after([left_out(), trouble])
    assert (row.status, row.reason, row.attempts) == ("failed", "left_out", 1)
    assert (row.prompt_tokens, row.predicted_prompt_tokens) == (40, 41)


async def test_asked_alone_it_may_be_asked_once_more_as_any_image() -> None:
    row, asked = await row_after([left_out(), answer(SORRY), answer(reply())], "refused")
    assert [each.alone for each in asked] == [False, True, True]
    assert (row.status, row.attempts, row.prompt_tokens) == ("captioned", 3, 40 + 2 * 270)
    row, asked = await row_after([left_out(), answer(SORRY), answer(SORRY)], "refused")
    assert (row.status, row.attempts, len(asked)) == ("refused", 3, 3)
