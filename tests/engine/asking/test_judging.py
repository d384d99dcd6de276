"""What an answer is worth, with and without a shape that it is held to."""

import json

import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, images_of, render_head, tail_template, with_objection
from pipeline.api.structured.shape import shape_of
from pipeline.engine.asking.judging import PLAIN_TEXT, AnswerRules, Verdict, judge
from pipeline.engine.asking.reask import Reask
from pipeline.items import Reply
from pipeline.models import find_model
from tests.engine.making import answer, reply, request

SCHEMA = {"type": "object", "properties": {"caption": {"type": ["string", "null"]}, "people": {"type": "integer"}}}
SHAPED = AnswerRules(None, shape_of(json.dumps({**SCHEMA, "required": ["caption", "people"]})))
CAT = {"caption": "A cat.", "people": 0}
ENDLESS = "and a cat " * 40


def said(**fields: object) -> Reply:
    return reply(json.dumps({**CAT, **fields}))


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        (said(), "captioned", None),
        (said(caption=None), "captioned", None),
        (said(caption=""), "failed", "empty_reply"),
        (said(caption=ENDLESS), "failed", "repetition"),
        (said(caption="I'm sorry, but I can't help with that."), "refused", "refused"),
        (said(people="none"), "failed", "invalid_answer"),
        (reply("A cat."), "failed", "invalid_answer"),
        (reply("I'm sorry, but I can't help with that."), "refused", "refused"),
        (reply(""), "failed", "empty_reply"),
        (reply('{"caption": "A c', finish_reason="length"), "truncated", "truncated"),
        (reply(json.dumps(CAT), finish_reason="length"), "truncated", "truncated"),
    ],
)
def test_answers_with_a_shape(outcome: Reply, status: str, reason: str | None) -> None:
    verdict = judge(outcome, SHAPED)
    assert (verdict.status, verdict.reason) == (status, reason)
    assert (verdict.message is None) == (status == "captioned")
    assert verdict.caption is None or status in ("captioned", "truncated")


def test_a_row_has_the_fields_beside_the_caption() -> None:
    assert judge(said(people=2), SHAPED) == Verdict(
        "captioned", None, None, "A cat.", {"caption": "A cat.", "people": 2}
    )
    assert judge(said(caption=None), SHAPED) == Verdict("captioned", fields={"caption": None, "people": 0})
    assert judge(reply("A cat."), PLAIN_TEXT) == Verdict("captioned", caption="A cat.")


def test_an_answer_that_does_not_fit_is_asked_for_again_alone_with_what_is_wrong() -> None:
    options = ModelOptions()
    first = request(body=tail_template(options).render("png", b"image"))
    model = find_model("gpt-4o")
    again = Reask((), 600, SHAPED, model).again(first, answer(said(people="none")))
    assert again is not None
    assert again.alone
    body = json.loads(render_head(options, Form("gpt-4o")) + again.body)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == json.dumps({**CAT, "people": "none"})
    assert "at $.people: 'none' is not of type 'integer'" in body["messages"][2]["content"]
    assert [image.data for image in images_of(again.body)] == [b"image"]
    assert again.predicted_prompt_tokens is not None
    assert first.predicted_prompt_tokens is not None
    assert again.predicted_prompt_tokens > first.predicted_prompt_tokens
    assert Reask((), 600, SHAPED, model).again(first, answer(said())) is None


def test_an_objection_may_hold_anything() -> None:
    tail = tail_template(ModelOptions(prompt='"]}')).render("jpeg", b"\x00" * 9)
    told = with_objection(tail, '"url":"data:image/png;base64,AAAA"}}]}]}', '\\"]}\ud83d')
    assert [image.data for image in images_of(told)] == [b"\x00" * 9]
    assert json.loads(render_head(ModelOptions(), Form("m")) + told)["messages"][2]["content"] == '\\"]}\ud83d'
