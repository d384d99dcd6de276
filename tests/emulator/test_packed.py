"""A question that wants an entry for each image gets one, in step or out of step as ordered."""

import json
from typing import Any

import pytest

from pipeline.emulator.answer import caption
from pipeline.emulator.packed import entry_schema, schema_in
from pipeline.emulator.wire.question import Message, Picture, Question
from pipeline.emulator.wire.shapes import WantedShape
from pipeline.models import find_model

GPT_4O = find_model("gpt-4o")
PICTURES = [Picture("jpeg", 64, 48, "high", "image/jpeg", f"{number:012}", 1000) for number in range(4)]


def wanting(**entry: Any) -> dict[str, Any]:
    listed = {"type": "array", "items": {"type": "object", "properties": entry}}
    return {"type": "object", "properties": {"answers": listed}}


CAPTIONS = wanting(image={"type": "integer"}, caption={"type": "string"})


def entries(schema: dict[str, Any], fault: str | None = None) -> list[dict[str, Any]]:
    question = Question((Message("user", "What?", tuple(PICTURES)),), None, WantedShape("answers", schema))
    answered: list[dict[str, Any]] = json.loads(caption(GPT_4O, question, 0, fault))["answers"]
    return answered


def test_each_image_is_answered_as_it_would_be_alone() -> None:
    alone = [caption(GPT_4O, Question((Message("user", "What?", (each,)),), None), 0) for each in PICTURES]
    assert entries(CAPTIONS) == [{"image": n, "caption": text} for n, text in enumerate(alone, 1)]


def test_entries_have_the_shape_that_is_asked_for() -> None:
    answer = {"type": "object", "properties": {"title": {"type": "string"}, "people": {"type": "integer"}}}
    given = entries(wanting(image={"type": "integer"}, answer=answer))
    assert [each["answer"].keys() for each in given] == [{"title", "people"}] * 4
    assert len({each["answer"]["title"] for each in given}) == 4


@pytest.mark.parametrize(
    ("fault", "numbers"),
    [
        ("entry_missing", [1, 2, 4]),
        ("entry_twice", [1, 2, 3, 3, 4]),
        ("entries_shuffled", [4, 3, 2, 1]),
        ("entry_too_many", [1, 2, 3, 4, 5]),
        ("slow_body", [1, 2, 3, 4]),
    ],
)
def test_entries_come_out_of_step_when_ordered(fault: str, numbers: list[int]) -> None:
    assert [each["image"] for each in entries(CAPTIONS, fault)] == numbers


EXAMPLE = 'Answer about each of them, as JSON: {"answers":[{"image":1,"caption":"..."}]}Image 1:'


def test_an_example_in_the_text_is_followed() -> None:
    question = Question((Message("user", EXAMPLE, tuple(PICTURES)),), 300)
    assert json.loads(caption(GPT_4O, question, 0))["answers"] == entries(CAPTIONS)


@pytest.mark.parametrize(
    "text", ["What?", "{", '{"a":[{', '{"answers":[{"caption":"..."}]}', '{"a":[{"image":1}],"b":2}', '{"a": []}']
)
def test_other_texts_want_no_entries(text: str) -> None:
    assert schema_in(text) is None


@pytest.mark.parametrize(
    "schema",
    [
        {},
        wanting(caption={"type": "string"}),
        wanting(image={"type": "string"}),
        {"properties": {"answers": {"type": "array", "items": {"type": "string"}}}},
        {"properties": {**CAPTIONS["properties"], "mood": {"type": "string"}}},
    ],
)
def test_other_schemas_are_about_all_images_together(schema: dict[str, Any]) -> None:
    assert entry_schema(schema) is None
