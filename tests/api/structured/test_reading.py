"""From the text of an answer to its fields, or to what is wrong with it."""

import json
import re
from typing import Any

import pytest

from pipeline.api.structured.reading import Invalid, Structured, caption_of, read_answer
from pipeline.api.structured.shape import Shape, shape_of

SCHEMA = {
    "type": "object",
    "properties": {"caption": {"type": "string", "maxLength": 20}, "people": {"type": "integer"}},
    "required": ["caption"],
}
GOOD = '{"caption": "A cat.", "people": 0}'


def shape() -> Shape:
    found = shape_of(json.dumps(SCHEMA))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}```",
        f"Here it is:\n\n```json\n{GOOD}\n```\nDone.",
        f"Sure: {GOOD} !",
    ],
)
def test_json_is_found_in_fences_and_between_words(text: str) -> None:
    assert read_answer(text, shape()) == Structured({"caption": "A cat.", "people": 0}, "A cat.")


def test_an_optional_property_may_be_null_or_absent() -> None:
    for text in ('{"caption": "A cat.", "people": null}', '{"caption": "A cat."}'):
        assert isinstance(read_answer(text, shape()), Structured)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A cat.", "is not JSON"),
        ('{"caption": "A c', "is not JSON"),
        ('{"caption": NaN}', "NaN is no JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "not of type 'object'"),
        ('{"people": 1}', "'caption' is a required property"),
        ('{"caption": "A cat.", "people": "one"}', r"at \$.people: 'one' is not of type"),
        (json.dumps({"caption": "A" * 5000}), r"is too long \(maxLength: 20\)"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(text: str, told: str) -> None:
    found = read_answer(text, shape())
    assert isinstance(found, Invalid)
    assert re.search(told, found.complaint)
    assert len(found.complaint) < 400


@pytest.mark.parametrize(
    ("fields", "caption"),
    [
        ({"text": "t", "caption": "c"}, "c"),
        ({"text": "t", "description": "d"}, "d"),
        ({"text": None, "tags": ["a"]}, None),
        ({"caption": 3, "alt_text": "a"}, "a"),
        ({"tags": ["cat", "sofa"]}, "cat, sofa"),
        ({"tags": []}, None),
        ({"tags": [1]}, None),
        ({"people": 3}, None),
    ],
)
def test_the_caption_of_an_answer(fields: dict[str, Any], caption: str | None) -> None:
    assert caption_of(fields) == caption


HOSTILE = {
    "type": "object",
    "properties": {
        "word": {"type": "string", "pattern": "^(a+)+$"},
        "number": {"type": "number", "multipleOf": 0.5},
        "list": {"type": "array", "uniqueItems": True},
        "deeper": {"$ref": "#"},
    },
}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"word": "' + "a" * 60 + '!"}', "does not match"),  # Python's `re` would try 2^60 ways
        ('{"number": 1e999}', "too large a number"),
        ('{"number": 1' + 400 * "0" + "}", "cannot be checked"),
        (json.dumps({"list": [{"a": number % 49_999} for number in range(50_000)]}), "non-unique"),
        ('{"deeper": ' * 300 + "{}" + "}" * 300, "nested too deeply"),
    ],
    ids=["pattern", "infinite", "huge", "long", "deep"],
)
def test_an_answer_that_means_harm_is_an_answer_that_does_not_fit(text: str, told: str) -> None:
    shape = shape_of(json.dumps(HOSTILE))
    assert shape
    found = read_answer(text, shape)
    assert isinstance(found, Invalid)
    assert told in found.complaint


@pytest.mark.parametrize("pattern", ["[0-9]{2}", "(?<![a-z])[0-9]{2}"], ids=["plain", "look-around"])
def test_patterns_are_searched_for_as_the_standard_has_it(pattern: str) -> None:
    schema = {"type": "object", "properties": {"word": {"type": "string", "pattern": pattern}}}
    shape = shape_of(json.dumps(schema))
    assert shape
    assert isinstance(read_answer('{"word": "in 1999"}', shape), Structured)
    assert isinstance(read_answer('{"word": "in 1"}', shape), Invalid)
