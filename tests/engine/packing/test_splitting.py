"""Whatever comes back for a pack: an answer for each image, its own or none, and a bill that adds up to the digit."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.packing.splitting import read_caption, read_entries, share, split_answer
from pipeline.engine.record import Asked, to_record
from pipeline.items import Answer, Failure, FilterResult, Reply, Request, Usage
from tests.engine.making import Dollar, answer, context, reply, request

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")


def entry(number: object, **changes: object) -> dict[str, object]:
    return {"image": number, "caption": f"About {number}.", **changes}


def said(*entries: object) -> str:
    return json.dumps({"answers": entries}, separators=(",", ":"))


def pack(*image_tokens: int | None, text: int | None = 40) -> tuple[list[Request], Request]:
    """Requests that were joined, and the one that was made of them."""
    requests = [
        replace(request(f"{number}.jpg"), predicted_image_tokens=tokens, predicted_prompt_tokens=(tokens or 0) + 15)
        for number, tokens in enumerate(image_tokens, 1)
    ]
    known = [tokens for tokens in image_tokens if tokens is not None]
    images = sum(known) if len(known) == len(image_tokens) else None
    prompt = None if images is None or text is None else images + text
    joined = replace(
        requests[0], predicted_image_tokens=images, predicted_prompt_tokens=prompt, max_tokens=900, pack=len(requests)
    )
    return requests, joined


def split(answered: Answer, requests: Sequence[Request], joined: Request) -> list[Answer]:
    return split_answer(answered, joined, requests, read_caption, Dollar())


def captions(text: str, count: int = 3, **changes: Any) -> list[str | None]:
    """What each image is given; None: it was left out."""
    requests, joined = pack(*[85] * count)
    answers = split(answer(reply(text, **changes)), requests, joined)
    return [each.outcome.caption if isinstance(each.outcome, Reply) else None for each in answers]


WHOLE = said(entry(1), entry(2), entry(3))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WHOLE, (1, 2, 3)),
        (json.dumps(json.loads(WHOLE), indent=2), (1, 2, 3)),
        (f"Here you are:\n```json\n{WHOLE}\n```\nAnything else?", (1, 2, 3)),
        (json.dumps([entry(1), entry(2), entry(3)]), (1, 2, 3)),
        (said(entry(3), entry(1), entry(2)), (1, 2, 3)),
        (said(entry("1"), entry("2"), entry("3")), (1, 2, 3)),
        (said(entry(1), entry(3)), (1, 3)),
        (said(entry(1), entry(2), entry(2, caption="No, this."), entry(3)), (1, 3)),
        (said(entry(1), entry(2, caption=" \n"), entry(3)), (1, 3)),
        (said(entry(1), entry(2, caption=None), entry(3, caption=["?"])), (1,)),
        (said(entry(1), {"caption": "Which?"}, entry(3)), (1, 3)),
        (said(entry(True), entry(2), entry(None)), (2,)),
        (said(entry(1), entry(2), entry(3), entry(4)), ()),
        (said(entry(0), entry(1), entry(2)), ()),
        (said(), ()),
        ("I'm sorry, but I can't help with that.", ()),
        ("", ()),
        ("[" * 100_000, ()),
    ],
)
def test_an_image_gets_what_stands_under_its_number(text: str, expected: tuple[int, ...]) -> None:
    assert captions(text) == [f"About {number}." if number in expected else None for number in (1, 2, 3)]


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_of_an_answer_that_was_cut_off_whole_entries_count(end: int) -> None:
    whole = sum(WHOLE.index(f"About {number}.") + len('About 1."}') <= end for number in (1, 2, 3))
    assert captions(WHOLE[:end], finish_reason="length") == [f"About {n}." if n <= whole else None for n in (1, 2, 3)]


def test_a_whole_entry_of_an_answer_that_was_cut_off_is_a_whole_caption() -> None:
    requests, joined = pack(85, 85)
    first, second = split(answer(reply(said(entry(1))[:-2], finish_reason="length")), requests, joined)
    assert to_record_status(requests[0], first) == ("captioned", None)
    assert to_record_status(requests[1], second) == ("failed", "left_out")


def to_record_status(of: Request, given: Answer) -> tuple[str, str | None]:
    row = to_record(Asked(given.remade or of, given), context())
    return row.status, row.reason


def test_where_the_prediction_is_right_each_row_pays_what_was_predicted_for_it() -> None:
    requests, joined = pack(85, 765, 255, text=42)
    usage = Usage(85 + 765 + 255 + 42, 90, 85 + 765 + 255 + 42 + 90, 0, 0)
    answers = split(answer(reply(WHOLE, usage=usage), price=Dollar()), requests, joined)
    assert [each.usage.prompt_tokens for each in answers] == [85 + 14, 765 + 14, 255 + 14]
    predicted = [each.remade for each in answers]
    assert all(each is not None for each in predicted)
    assert [each and each.predicted_prompt_tokens for each in predicted] == [99, 779, 269]
    assert [each and each.predicted_image_tokens for each in predicted] == [85, 765, 255]
    assert [each.cost_usd for each in answers] == [99 + 30, 779 + 30, 269 + 30], "usage times price, as of any row"


def test_everything_else_is_that_of_the_pack() -> None:
    requests, joined = pack(85, 85)
    verdict = (FilterResult("hate", "safe", False, "prompt"),)
    whole = answer(reply(said(entry(1)), request_id="req-1", content_filter=verdict, model_returned="gpt-4o-x"), 2)
    for each in split(whole, requests, joined):
        outcome = each.outcome
        assert (outcome.request_id, outcome.content_filter, outcome.model_returned) == ("req-1", verdict, "gpt-4o-x")
        assert (each.attempts, each.latency_ms, each.started_at) == (2, whole.latency_ms, whole.started_at)


def test_a_pack_that_fails_leaves_everybody_out_and_says_why() -> None:
    requests, joined = pack(85, 85)
    failure = Failure("filtered:hate", "The filter.", "filtered", http_status=400, usage=Usage(200, 0, 200))
    answers = split(answer(failure), requests, joined)
    for each in answers:
        assert isinstance(each.outcome, Failure)
        assert (each.outcome.reason, each.outcome.message) == ("left_out", "Its pack failed: The filter.")
    assert [each.usage.prompt_tokens for each in answers] == [100, 100]


counts = st.none() | st.integers(0, 2**31 - 1)
numbers = st.integers(-1, 7) | st.sampled_from(["1", "2", None, True, 1.5])
entries = st.builds(entry, numbers) | st.builds(entry, numbers, caption=st.none() | st.text(max_size=5))
texts = st.text(max_size=40) | st.lists(entries, max_size=8).map(lambda listed: said(*listed))


@st.composite
def answers_to_packs(draw: st.DrawFn) -> tuple[Answer, list[Request], Request]:
    tokens = draw(st.lists(st.none() | st.integers(0, 2000), min_size=2, max_size=6))
    requests, joined = pack(*tokens, text=draw(st.none() | st.integers(0, 500)))
    text = draw(texts)
    text = text[: draw(st.integers(0, len(text)))] if draw(st.booleans()) else text
    usage = Usage(*draw(st.tuples(*[counts] * 5)))
    outcome = draw(st.sampled_from([reply(text, usage=usage), Failure("timeout", "Too late.", usage=usage)]))
    nano = draw(st.none() | st.integers(0, 10**12))
    cost = None if nano is None else Decimal(nano).scaleb(-9)
    return replace(answer(outcome), usage=usage, cost_usd=cost), requests, joined


@given(answers_to_packs())
def test_each_image_gets_one_answer_and_the_shares_are_the_bill(case: tuple[Answer, list[Request], Request]) -> None:
    whole, requests, joined = case
    answers = split(whole, requests, joined)
    assert len(answers) == len(requests)
    for name in COUNTS:
        shares, total = [getattr(each.usage, name) for each in answers], getattr(whole.usage, name)
        assert (shares == [None] * len(requests)) if total is None else (sum(shares) == total and min(shares) >= 0)
    costs = [each.cost_usd for each in answers]
    if whole.cost_usd is None:
        assert set(costs) == {None}
    else:
        assert sum(cost or Decimal(0) for cost in costs) == whole.cost_usd
    for name in ("predicted_image_tokens", "predicted_prompt_tokens"):
        predicted, total = [getattr(each.remade, name) for each in answers], getattr(joined, name)
        assert (set(predicted) == {None}) if total is None else (sum(predicted) == total)
    for of, each in zip(requests, answers, strict=True):
        assert each.remade is not None
        assert each.remade.image is of.image
        assert each.outcome.usage == each.usage


@given(st.lists(entries, max_size=8), st.integers(1, 6))
def test_nobody_gets_what_stands_under_another_number(listed: list[dict[str, object]], count: int) -> None:
    for number, found in enumerate(read_entries(said(*listed), count), 1):
        if found.answer is not None:
            assert str(found.answer["image"]) == str(number)


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=10))
def test_shares_add_up_and_are_near_the_weights(total: int, weights: list[int]) -> None:
    shares = share(total, weights)
    assert sum(shares) == total
    whole = sum(weights)
    if whole:
        assert all(abs(got * whole - total * weight) < whole for got, weight in zip(shares, weights, strict=True))
    assert share(whole, weights) == weights
