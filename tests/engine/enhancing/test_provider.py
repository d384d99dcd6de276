"""Looking before asking: what the model is told, how far ahead, and what becomes of trouble in between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.api.asker import Remake
from pipeline.api.options import ModelOptions
from pipeline.api.payload import images_of, tail_template
from pipeline.api.throttle import ThrottleClosed
from pipeline.engine.enhancing.finders import Sought
from pipeline.engine.enhancing.provider import EnhancedProvider, Question
from pipeline.items import Answer, Failure, Found, Reply, Request, Usage
from pipeline.models import find_model, text_tokens
from tests.engine.making import ASKED, answer, nothing_smaller, request

OPTIONS = ModelOptions("gpt-4o", prompt="What is it?")
FOUND = (Found("text", "STOP", ((0.1, 0.1), (0.5, 0.1), (0.5, 0.2), (0.1, 0.2))),)
FEE = Decimal("0.0015")


def asked(key: str = "a.jpg") -> Request:
    return replace(request(key), body=tail_template(OPTIONS).render("jpeg", key.encode()))


class Eye:
    """Finds the same in every image."""

    ahead = 2

    def __init__(self, found: Sought | Answer | None = None) -> None:
        self.found = found or Sought(FOUND, FEE)
        self.looks: list[str] = []
        self.stopped = False

    async def find(self, request: Request) -> Sought | Answer:
        self.looks.append(request.image.key)
        await asyncio.sleep(0)
        return self.found

    def stop(self) -> None:
        self.stopped = True


class Model:
    """Answers when it is let, and keeps what it was asked."""

    respondent = ASKED
    encode = staticmethod(lambda image, prompt: b"")
    concurrency = 8
    price: Decimal | None = Decimal("0.01")

    def __init__(self, outcome: Reply | Failure | Exception | None = None) -> None:
        self.outcome = outcome or Reply("A STOP sign.", Usage(10, 5, 15))
        self.requests: list[Request] = []
        self.may_leave = asyncio.Event()
        self.may_leave.set()
        self.stopped = False

    async def ask(self, request: Request, remake: Remake, leaves: Callable[[], None] | None = None) -> Answer:
        self.requests.append(request)
        await self.may_leave.wait()
        if leaves:
            leaves()
        if isinstance(self.outcome, Exception):
            raise self.outcome
        found = answer(self.outcome)
        return replace(found, cost_usd=self.price if isinstance(self.outcome, Reply) else None)

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., EnhancedProvider]]:
    with ThreadPoolExecutor(1) as workers:

        def enhanced(inner: Any, eye: Any, on_spent: Callable[[], None] = lambda: None) -> EnhancedProvider:
            return EnhancedProvider(inner, eye, Question(OPTIONS.prompt, find_model("gpt-4o")), workers, on_spent)

        yield enhanced


async def test_the_model_is_told_and_the_row_has_it(make: Callable[..., EnhancedProvider]) -> None:
    inner = Model()
    found = await make(inner, Eye()).ask(asked(), nothing_smaller)
    [told] = inner.requests
    assert told.body.startswith(b'"What is it?\\n\\nText read in this image')
    assert b'\\"STOP\\" at 10, 10, 50, 20' in told.body
    assert [image.data for image in images_of(told.body)] == [b"a.jpg"], "the image is as it was"
    more = text_tokens(find_model("gpt-4o"), OPTIONS.prompt + "x")
    assert more is not None
    assert told.predicted_prompt_tokens is not None
    assert told.predicted_prompt_tokens > 270 + 20
    assert isinstance(found.outcome, Reply)
    [span] = found.outcome.grounding
    assert (span.text, span.offset) == ("STOP", None), "its place in the caption is looked for when the row is made"
    assert found.cost_usd == Decimal("0.0115")
    assert found.remade is not None
    assert found.remade.predicted_prompt_tokens == told.predicted_prompt_tokens
    assert found.remade.body == b""


async def test_an_image_with_a_prompt_of_its_own_keeps_it(make: Callable[..., EnhancedProvider]) -> None:
    inner = Model()
    own = asked()
    own = replace(own, image=replace(own.image, prompt='Is "it" é?'))
    own = replace(own, body=tail_template(OPTIONS).render("jpeg", b"x", own.image.prompt))
    await make(inner, Eye()).ask(own, nothing_smaller)
    assert inner.requests[0].body.startswith(b'"Is \\"it\\" \\u00e9?\\n\\nText read')


async def test_where_nothing_is_found_nothing_is_told(make: Callable[..., EnhancedProvider]) -> None:
    inner = Model()
    found = await make(inner, Eye(Sought())).ask(asked(), nothing_smaller)
    assert inner.requests[0].body == asked().body
    assert found.cost_usd == Decimal("0.01")


async def test_what_cannot_be_looked_at_is_not_asked_about(make: Callable[..., EnhancedProvider]) -> None:
    inner = Model()
    failed = answer(Failure("timeout", "Image Analysis: No complete answer within 120 s."))
    found = await make(inner, Eye(failed)).ask(asked(), nothing_smaller)
    assert found.outcome == failed.outcome
    assert found.respondent == ASKED
    assert inner.requests == []


async def test_a_failure_of_the_model_still_costs_the_look(make: Callable[..., EnhancedProvider]) -> None:
    found = await make(Model(Failure("server_error", "x")), Eye()).ask(asked(), nothing_smaller)
    assert found.cost_usd == FEE


async def test_an_answer_of_unknown_price_stays_unknown(make: Callable[..., EnhancedProvider]) -> None:
    inner = Model()
    inner.price = None
    assert (await make(inner, Eye()).ask(asked(), nothing_smaller)).cost_usd is None


async def test_no_more_is_looked_at_than_a_little_ahead_of_the_model(make: Callable[..., EnhancedProvider]) -> None:
    inner, eye = Model(), Eye()
    inner.may_leave.clear()
    provider = make(inner, eye)
    asking = [asyncio.ensure_future(provider.ask(asked(f"{n}.jpg"), nothing_smaller)) for n in range(10)]
    for _ in range(100):
        await asyncio.sleep(0.001)
    assert len(eye.looks) == eye.ahead
    inner.may_leave.set()
    await asyncio.gather(*asking)
    assert len(eye.looks) == 10


async def test_asked_again_it_needs_no_second_look(make: Callable[..., EnhancedProvider]) -> None:
    inner, eye = Model(), Eye()
    provider = make(inner, eye)
    first = await provider.ask(asked(), nothing_smaller)
    second = await provider.ask(asked(), nothing_smaller)
    assert eye.looks == ["a.jpg"]
    assert (first.cost_usd, second.cost_usd) == (Decimal("0.0115"), Decimal("0.01"))
    assert inner.requests[0].body == inner.requests[1].body


async def test_a_smaller_image_is_told_about_too(make: Callable[..., EnhancedProvider]) -> None:
    smaller = replace(asked(), body=tail_template(OPTIONS).render("jpeg", b"small"))

    async def remake(original: Request) -> Request:
        assert original.body == asked().body, "made of the job's own request"
        return smaller

    class Shrinking(Model):
        async def ask(self, request: Request, remake: Remake, leaves: Callable[[], None] | None = None) -> Answer:
            made = await remake(request)
            assert isinstance(made, Request)
            return await super().ask(made, remake, leaves)

    inner = Shrinking()
    await make(inner, Eye()).ask(asked(), remake)
    assert b"STOP" in inner.requests[0].body
    assert images_of(inner.requests[0].body)[0].data == b"small"


async def test_what_was_looked_at_in_vain_is_counted(make: Callable[..., EnhancedProvider]) -> None:
    provider = make(Model(ThrottleClosed()), Eye())
    with pytest.raises(ThrottleClosed):
        await provider.ask(asked(), nothing_smaller)
    assert provider.lost_usd == FEE


async def test_without_money_those_looked_at_are_still_asked(make: Callable[..., EnhancedProvider]) -> None:
    inner, told = Model(), []
    inner.may_leave.clear()
    provider = make(inner, Eye(), lambda: told.append("spent"))
    asking = asyncio.ensure_future(provider.ask(asked(), nothing_smaller))
    while not inner.requests:
        await asyncio.sleep(0.001)
    provider.money_is_gone()
    assert told == []
    inner.may_leave.set()
    await asking
    assert told == ["spent"]


async def test_a_stop_reaches_both(make: Callable[..., EnhancedProvider]) -> None:
    inner, eye = Model(), Eye()
    make(inner, eye).stop()
    assert (inner.stopped, eye.stopped) == (True, True)
