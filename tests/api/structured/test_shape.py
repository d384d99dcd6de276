import json
from typing import Any

import jsonschema
import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, render_head, tail_template
from pipeline.api.structured.shape import shape_of

PERSON = {
    "type": "object",
    "properties": {
        "caption": {"type": "string", "maxLength": 100, "description": "One sentence."},
        "people": {"type": "integer"},
        "mood": {"enum": ["calm", "wild"]},
    },
    "required": ["caption"],
}
TREE = {
    "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": []}},
    "type": "object",
    "properties": {"tree": {"$ref": "#/$defs/Node"}, "self": {"$ref": "#"}},
    "required": ["tree"],
}


def body(schema: dict[str, Any], form: Form, system: str = "", pack: int = 1) -> dict[str, Any]:
    options = ModelOptions(schema=json.dumps(schema), system=system)
    tail = tail_template(options).render("png", b"image")
    found: dict[str, Any] = json.loads(render_head(options, form, pack) + tail)
    return found


def test_strict_endpoints_are_told_what_they_guarantee() -> None:
    sent = body(PERSON, Form("m"))["response_format"]
    assert sent == {
        "type": "json_schema",
        "json_schema": {
            "name": "answer",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {
                    "caption": {"type": "string", "description": "One sentence. (maxLength: 100)"},
                    "people": {"type": ["integer", "null"]},
                    "mood": {"anyOf": [{"enum": ["calm", "wild"]}, {"type": "null"}]},
                },
                "required": ["caption", "people", "mood"],
                "additionalProperties": False,
            },
        },
    }


@pytest.mark.parametrize(
    "property_",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"allOf": [{"type": "string"}, {"minLength": 2}]},
        {"type": "array"},
        {"not": {"type": "string"}},
        {"type": "string", "if": {"minLength": 1}},
        True,
        {},
    ],
)
def test_what_strict_has_no_word_for_is_sent_as_it_is(property_: Any) -> None:
    schema = {"type": "object", "properties": {"free": property_}, "required": ["free"]}
    sent = body(schema, Form("m"))["response_format"]["json_schema"]
    assert (sent["strict"], sent["schema"]) == (False, schema)


def test_a_correction_goes_down_a_rung_each_time() -> None:
    first = Form("m")
    json_mode = first.correct("response_format")
    assert json_mode is not None
    prompt = json_mode.correct("response_format")
    assert prompt is not None
    assert prompt.correct("response_format") is None
    assert "JSON" not in str(body(PERSON, first, "Be brief.")["messages"])
    told = body(PERSON, json_mode, "Be brief.")
    assert told["response_format"] == {"type": "json_object"}
    system = told["messages"][0]["content"]
    assert system.startswith("Be brief.\n\n")
    assert '"maxLength":100' in system
    asked = body(PERSON, prompt)
    assert "response_format" not in asked
    assert asked["messages"][0]["content"] == system.removeprefix("Be brief.\n\n")
    assert asked["messages"][1] == told["messages"][1] == body(PERSON, first)["messages"][0]


def test_what_pydantic_adds_is_not_paid_for() -> None:
    titled = {"title": "Photo", "type": "object", "required": ["title"]}
    text = {"title": "Title", "type": "string", "default": "", "maxLength": 9}
    sent = body({**titled, "properties": {"title": text}}, Form("m", rung="prompt"))["messages"][0]["content"]
    assert sent.endswith(
        '{"type":"object","required":["title"],"properties":{"title":{"type":"string","maxLength":9}}}'
    )


def test_without_a_schema_nothing_changes() -> None:
    assert shape_of(None) is None
    assert b"response_format" not in render_head(ModelOptions(), Form("m", rung="json_object"))


def test_several_images_have_an_answer_each() -> None:
    tree = shape_of(json.dumps(TREE), 2)
    assert tree is not None
    schema = json.loads(tree.schema)
    one = {"tree": {"next": {"next": None}}, "self": {"tree": {}, "self": None}}
    jsonschema.validate({"answers": [{"image": 1, "answer": one}]}, schema)
    one["self"]["tree"] = 3  # type: ignore[assignment, call-overload]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"answers": [{"image": 1, "answer": one}]}, schema)
    assert body(TREE, Form("m"), pack=2)["response_format"]["json_schema"]["strict"] is True
