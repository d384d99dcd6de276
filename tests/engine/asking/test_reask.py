"""A flawed answer is asked for once more where the job wants it, and both are on the bill."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine.asking.reask import Reask
from pipeline.engine.live.stages import ask_images, take_records
from pipeline.engine.record import to_record
from pipeline.errors import RunError, UserError
from pipeline.items import Answer, Failure, Reply, Request, Usage
from pipeline.job import Job, run_async
from tests.engine.making import (
    Dollar,
    ScriptedProvider,
    answer,
    asking,
    context,
    line,
    reply,
    request,
)
from tests.helpers.folders import write_jpegs
from tests.helpers.rows import rows_of
from tests.helpers.servers import emulate

GOOD = reply("A cat.")
SORRY = reply("I'm sorry, but I can't help with that.")
CUT = reply("A cat on a", finish_reason="length")
BROKEN = Failure("server_error", "It broke.")
FILTERED = Failure("filtered:hate", "Withheld.", "filtered", usage=GOOD.usage)


@pytest.mark.parametrize(
    ("outcome", "reasons", "asked"),
    [
        (SORRY, ("refused",), True),
        (SORRY, ("truncated",), False),
        (reply(""), ("empty_reply",), True),
        (FILTERED, ("filtered",), True),
        (GOOD, ("refused", "truncated"), False),
        (BROKEN, ("refused", "truncated", "filtered"), False),
    ],
)
def test_what_is_asked_once_more(outcome: Reply | Failure, reasons: tuple[str, ...], asked: bool) -> None:
    again = Reask(reasons, 600).again(request(), answer(outcome))
    assert again == (request() if asked else None)


def test_what_was_cut_off_gets_more_room() -> None:
    assert Reask(("truncated",), 600).again(request(), answer(CUT)) == replace(request(), max_tokens=600)


@pytest.mark.parametrize(
    ("first", "second", "status", "caption"),
    [
        (SORRY, GOOD, "captioned", "A cat."),
        (SORRY, SORRY, "refused", None),
        (CUT, GOOD, "captioned", "A cat."),
        (CUT, reply("A cat on a mat and", finish_reason="length"), "truncated", "A cat on a mat and"),
        (CUT, SORRY, "truncated", "A cat on a"),
        (CUT, BROKEN, "truncated", "A cat on a"),
        (SORRY, BROKEN, "refused", None),
        (FILTERED, SORRY, "refused", None),
    ],
)
def test_the_better_answer_counts_and_both_are_paid(
    first: Reply | Failure, second: Reply | Failure, status: str, caption: str | None
) -> None:
    answers: list[Answer] = [answer(each, price=Dollar()) for each in (first, second)]
    row = to_record(Reask((), 0).both(request(), request(), *answers), context())
    assert (row.status, row.caption) == (status, caption)
    paid = 550 if second != BROKEN else 275
    assert (row.total_tokens, row.cost_usd, row.attempts) == (paid, Decimal(paid), 2)
    assert row.predicted_prompt_tokens == row.prompt_tokens == (540 if second != BROKEN else 270)


def test_counts_that_a_server_did_not_send_stay_unknown() -> None:
    first, second = (answer(reply(usage=Usage(prompt_tokens=tokens))) for tokens in (7, None))
    row = to_record(Reask((), 0).both(request(), request(), first, second), context())
    assert (row.prompt_tokens, row.completion_tokens, row.cost_usd) == (7, None, None)


def test_the_prediction_is_that_of_all_that_is_on_the_bill() -> None:
    """Of a first answer that was itself made of two requests, the second of them smaller."""
    first = replace(answer(SORRY), remade=replace(request(), predicted_image_tokens=340, predicted_prompt_tokens=370))
    row = to_record(Reask((), 0).both(request(), request(), first, answer(GOOD)), context())
    assert (row.predicted_image_tokens, row.predicted_prompt_tokens) == (340 + 255, 370 + 270)


async def test_the_first_answer_survives_a_cancel_and_trouble_of_the_second() -> None:
    """It is paid for, whatever becomes of the second."""

    async def first_only(each: Request) -> Answer:
        if provider.asked.count(each.image.key) == 1:
            return answer(CUT)
        if each.image.key == "trouble":
            raise RunError("The quota is used up.")
        await asyncio.sleep(60)
        raise AssertionError("it was cancelled")

    provider = ScriptedProvider(first_only, 2)
    of = line(askers=2, preparers=1)
    with ThreadPoolExecutor(1) as disk:
        for name in ("cancelled", "trouble"):
            await of.in_flight.take(4)
            await of.ready.put(request(name))
        shared = asking(provider, disk, reask=("truncated",))
        tasks = [asyncio.ensure_future(ask_images(of, shared)) for _ in range(2)]
        async with asyncio.timeout(10):
            while len(provider.asked) < 4 or len(of.done) < 1:
                await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    rows = take_records(of, 10)
    assert {(row.key, row.status, row.attempts) for row in rows} == {
        ("cancelled", "truncated", 1),
        ("trouble", "truncated", 1),
    }
    assert of.stop.requested


async def run(photos: Path, url: str, **options: Any) -> dict[str, dict[str, Any]]:
    out = photos.parent / "out"
    await run_async(Job.create(photos, out, model="openai:gpt-4o", base_url=url, **options))
    return rows_of(out)


@pytest.mark.integration
async def test_a_cut_off_answer_is_asked_for_with_more_room(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 2)
    async with emulate(EmulatorOptions(caption_tokens=30)) as server:
        rows = await run(tmp_path / "photos", server.base_url, max_tokens=20, reask=("truncated",))
        assert server.stats.requests == 4
    for row in rows.values():
        assert (row["status"], row["attempts"], row["finish_reason"]) == ("captioned", 2, "stop")
        assert row["completion_tokens"] > 20 + 20
        assert row["prompt_tokens"] == row["predicted_prompt_tokens"]


@pytest.mark.integration
async def test_an_apology_is_no_caption_and_may_be_asked_again(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 3)
    once = EmulatorOptions(scenario=(Step("apology", attempts=1),))
    async with emulate(once) as server:
        rows = await run(tmp_path / "photos", server.base_url)
        assert {(row["status"], row["reason"], row["caption"]) for row in rows.values()} == {("refused",) * 2 + (None,)}
        assert all("sorry" in row["message"].lower() for row in rows.values())
    async with emulate(once) as server:
        rows = await run(tmp_path / "photos", server.base_url, reask=("refused",), replace=True, prompt="Well?")
    assert {(row["status"], row["attempts"]) for row in rows.values()} == {("captioned", 2)}


@pytest.mark.integration
async def test_a_caption_in_another_language_is_none(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 1)
    async with emulate() as server:
        rows = await run(tmp_path / "photos", server.base_url, language="de")
        assert {(row["status"], row["reason"]) for row in rows.values()} == {("failed", "wrong_language")}
        rows = await run(tmp_path / "photos", server.base_url, language="en", replace=True, prompt="Well?")
        assert {row["status"] for row in rows.values()} == {"captioned"}
        with pytest.raises(UserError, match="'xx' is not known"):
            await run(tmp_path / "photos", server.base_url, language="xx")


def test_what_cannot_be_asked_again_is_told() -> None:
    with pytest.raises(UserError, match="reask names 'timeout'"):
        Job.create("photos", "out", reask=("timeout",))
