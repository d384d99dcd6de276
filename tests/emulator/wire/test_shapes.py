"""`response_format` as the providers take it, and refuse it."""

from typing import Any

import pytest

from pipeline.emulator.instances import told_schema
from pipeline.emulator.limits import Provider
from pipeline.emulator.wire.errors import Rejected
from pipeline.emulator.wire.shapes import WantedShape, read_shape
from pipeline.models import find_model

CLOSED = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def wanted(schema: dict[str, Any] = CLOSED, strict: bool = True) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}


def read(
    response_format: Any,
    model: str = "gpt-4o",
    provider: Provider = "openai",
    version: str | None = None,
    text: str = "",
) -> WantedShape | None:
    name = f"azure:{model}" if provider == "azure" else model
    return read_shape(response_format, find_model(name), provider, version, text)


def test_what_is_taken() -> None:
    assert read(None) is None
    assert read({"type": "text"}) is None
    assert read(wanted()) == WantedShape("answer", CLOSED)
    assert read({"type": "json_object"}, "gpt-4-turbo", text="Answer in Json.") is None


@pytest.mark.parametrize(
    ("model", "provider", "version", "asked", "told"),
    [
        ("gpt-4-turbo", "openai", None, wanted(), "'json_schema' is not supported with this model"),
        ("gpt-4o-2024-05-13", "openai", None, wanted(), "'json_schema' is not supported with this model"),
        ("gpt-4o", "azure", "2024-06-01", wanted(), "only for api versions 2024-08-01-preview and later"),
        ("gpt-4-turbo", "azure", "2024-10-21", {"type": "json_object"}, "'json_object' is not supported"),
        ("gpt-4-vision-preview", "openai", None, {"type": "json_object"}, "extra fields not permitted"),
        ("gpt-4o", "openai", None, {"type": "json_object"}, "must contain the word 'json'"),
        ("gpt-4o", "openai", None, {"type": "yaml"}, "Supported values are"),
        ("gpt-4o", "openai", None, wanted({"type": "object", "properties": {}}), "'additionalProperties' is required"),
        (
            "gpt-4o", "openai", None,
            wanted(CLOSED | {"properties": {"n": CLOSED, "m": {"type": "string"}}}),
            "'required' is required to be supplied",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(model: str, provider: Provider, version: str | None, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(Rejected, match=told):
        read(asked, model, provider, version)


def test_a_schema_in_words_is_found_between_other_braces() -> None:
    schema = '{"type":"object","properties":{"a":{"type":"string"}}}'
    found = told_schema('Use {braces} and {"a": 1}. Schema:\n' + schema + " thanks")
    assert found == {"type": "object", "properties": {"a": {"type": "string"}}}
    assert told_schema('{"a": {"b": 1}} {') is None
