"""Asking tasks meet, one asks for all, and nobody waits for ever, whatever becomes of the others."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.payload import LabelledImage, tail_template
from pipeline.api.pool.member import Tariff
from pipeline.api.throttle import ThrottleClosed
from pipeline.engine.packing.joining import Packing
from pipeline.engine.packing.provider import GATHER_SECONDS, MOST_USELESS, PackingProvider
from pipeline.errors import RunError
from pipeline.items import Answer, Failure, Reply, Request
from tests.engine.making import ScriptedProvider, answer, nothing_smaller, reply, request
from tests.helpers.clock import FakeClock

TEMPLATE = tail_template(ModelOptions(prompt="What is it?"))


def question(key: str, size: int = 3) -> Request:
    return request(key, body=TEMPLATE.render("jpeg", key.encode() * size))


async def about_all(asked: Request) -> Answer:
    """A good answer about each image, or the plain one about one."""
    if asked.pack == 1:
        return answer(reply("Alone."))
    entries = [{"image": number, "caption": f"Caption {number}."} for number in range(1, asked.pack + 1)]
    return answer(reply(json.dumps({"answers": entries})))


class Packed:
    """A packing provider, what it asks, and its clock."""

    def __init__(
        self,
        answer_to: Callable[[Request], Awaitable[Answer]] = about_all,
        size: int = 3,
        most_tokens: float = 8000,
        most_bytes: int = 1000,
    ) -> None:
        self.asked: list[Request] = []
        self.clock = FakeClock()

        async def remember(asked: Request) -> Answer:
            self.asked.append(asked)
            return await answer_to(asked)

        packing = Packing(
            size, 300, TEMPLATE, "What are the {}?".format, lambda count: 10 * count, most_tokens, most_bytes
        )
        self.inner = ScriptedProvider(remember, concurrency=2)
        self.provider = PackingProvider(self.inner, packing, self.clock, Tariff(self.clock, lambda day: None))  # type: ignore[arg-type]

    def ask(self, *requests: Request) -> list["asyncio.Task[Answer]"]:
        return [asyncio.ensure_future(self.provider.ask(each, nothing_smaller)) for each in requests]

    @property
    def packs(self) -> list[int]:
        return [each.pack for each in self.asked]


def caption(given: Answer) -> str:
    assert isinstance(given.outcome, Reply)
    return given.outcome.caption


async def test_a_full_pack_is_asked_at_once_and_each_gets_its_own() -> None:
    packed = Packed()
    answers = await asyncio.gather(*packed.ask(*map(question, "abcdef")))
    assert [caption(each) for each in answers] == ["Caption 1.", "Caption 2.", "Caption 3."] * 2
    assert packed.packs == [3, 3]
    assert packed.clock.pending == 0
    first = packed.asked[0]
    assert (first.max_tokens, first.predicted_image_tokens, first.predicted_prompt_tokens) == (900, 3 * 255, 795)
    content = json.loads(b'{"messages":[{"role":"user","content":[{"type":"text","text":' + first.body)
    parts = content["messages"][0]["content"]
    assert parts[0]["text"] == "What are the 3?"
    assert [part.get("text") for part in parts[1:]] == ["Image 1:", None, "Image 2:", None, "Image 3:", None]
    assert packed.provider.concurrency == 6


async def test_what_is_there_is_asked_when_nothing_more_comes() -> None:
    packed = Packed()
    tasks = packed.ask(question("a"), question("b"))
    await packed.clock.advance(GATHER_SECONDS * 0.99)
    assert not packed.asked
    await packed.clock.advance(GATHER_SECONDS * 0.02)
    assert [caption(await task) for task in tasks] == ["Caption 1.", "Caption 2."]
    [last] = packed.ask(question("c"))
    await packed.clock.advance(GATHER_SECONDS)
    assert caption(await last) == "Alone."
    assert packed.packs == [2, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"alone": True},
        {"max_tokens": 600},
        {"body": TEMPLATE.render("jpeg", b"a", "My own.")},
        {"body": TEMPLATE.render_url("https://example.com/a.jpg")},
        {"body": TEMPLATE.render_several([LabelledImage("Frame 1", "jpeg", b"a")])},
        {"body": tail_template(ModelOptions(prompt="What is it?", detail="low")).render("jpeg", b"a")},
    ],
)
async def test_what_is_asked_otherwise_is_asked_alone(change: dict[str, object]) -> None:
    packed = Packed()
    [task] = packed.ask(replace(question("a"), **change))
    assert caption(await task) == "Alone."


@pytest.mark.parametrize(
    ("limits", "packs"),
    [
        ({"most_tokens": 3 * (255 + 10 + 300)}, [3, 2]),
        ({"most_tokens": 3 * (255 + 10 + 300) - 1}, [2, 2, 1]),
        ({"most_bytes": 4 * len(question("a").body)}, [4, 1]),
        ({"most_bytes": 1}, [1] * 5),
    ],
)
async def test_a_pack_is_closed_before_it_is_too_large(limits: dict[str, int], packs: list[int]) -> None:
    packed = Packed(size=99, **limits)  # type: ignore[arg-type]
    tasks = packed.ask(*map(question, "abcde"))
    await packed.clock.advance(GATHER_SECONDS)
    await asyncio.gather(*tasks)
    assert packed.packs == packs


@pytest.mark.parametrize("error", [RunError("The quota is used up."), ThrottleClosed()])
async def test_trouble_of_the_run_reaches_everybody(error: Exception) -> None:
    async def trouble(asked: Request) -> Answer:
        raise error

    results = await asyncio.gather(*Packed(trouble).ask(*map(question, "abc")), return_exceptions=True)
    assert results == [error] * 3


async def test_a_stop_sends_away_who_waits() -> None:
    packed = Packed()
    packed.inner.stop = lambda: None  # type: ignore[method-assign]
    tasks = packed.ask(question("a"), question("b"))
    await packed.clock.settle()
    packed.provider.stop()
    await packed.clock.settle()
    assert all(task.done() for task in tasks)
    assert packed.clock.pending == 0


async def test_what_has_just_come_survives_a_cancel() -> None:
    """A second Ctrl-C loses no answer that was received: each task has its own first, and is cancelled after that."""
    packed, kept = Packed(), list[str]()

    async def keep(asked: Request) -> None:
        kept.append(caption(await packed.provider.ask(asked, nothing_smaller)))
        await asyncio.sleep(60)

    tasks = [asyncio.ensure_future(keep(question(key))) for key in "abc"]
    while not kept:
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert sorted(kept) == ["Caption 1.", "Caption 2.", "Caption 3."]
    assert all(task.cancelled() for task in tasks)


async def test_who_leaves_before_the_pack_is_asked_is_not_waited_for() -> None:
    packed = Packed()
    leaver, *others = packed.ask(question("a"), question("b"))
    await packed.clock.settle()
    leaver.cancel()
    await packed.clock.settle()
    others += packed.ask(question("c"), question("d"))
    assert [caption(await task) for task in others] == ["Caption 1.", "Caption 2.", "Caption 3."]


async def test_who_asks_and_is_cancelled_lets_the_others_go() -> None:
    async def never(asked: Request) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError("it was cancelled")

    packed = Packed(never)
    leader, *others = packed.ask(*map(question, "abc"))
    await packed.clock.settle()
    leader.cancel()
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [type(result) for result in results] == [ThrottleClosed, ThrottleClosed]


async def test_packing_that_comes_to_nothing_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async def nonsense(asked: Request) -> Answer:
        return answer(reply("There are some pictures."))

    packed = Packed(nonsense)
    with caplog.at_level(logging.WARNING):
        for _ in range(MOST_USELESS):
            for each in await asyncio.gather(*packed.ask(*map(question, "abc"))):
                assert isinstance(each.outcome, Failure)
                assert each.outcome.reason == "left_out"
        await asyncio.gather(*packed.ask(*map(question, "abc")))
    assert packed.packs == [3] * MOST_USELESS + [1, 1, 1]
    assert len(caplog.records) == 1
    assert "one by one" in caplog.text
