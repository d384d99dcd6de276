"""Which manner of asking an endpoint gets first, and what a refusal means."""

import pytest

from pipeline.api.retry import refused_parameter
from pipeline.api.structured.rungs import first_rung
from pipeline.api.structured.shape import Rung
from pipeline.items import Failure
from pipeline.models import find_model


@pytest.mark.parametrize(
    ("model", "version", "rung"),
    [
        ("gpt-4o", None, "json_schema"),
        ("gpt-4o-2024-08-06", None, "json_schema"),
        ("gpt-4o-2024-05-13", None, "json_object"),
        ("gpt-4-turbo", None, "json_object"),
        ("azure:gpt-4-turbo", None, "prompt"),
        ("gpt-4-vision-preview", None, "prompt"),
        ("azure:gpt-4o", "2024-10-21", "json_schema"),
        ("azure:gpt-4o", "2024-08-01-preview", "json_schema"),
        ("azure:gpt-4o", "2024-06-01", "json_object"),
        ("azure:gpt-4o", "2023-05-15", "prompt"),
        ("compatible:some-model", None, "json_schema"),
    ],
)
def test_first_rung(model: str, version: str | None, rung: Rung) -> None:
    assert first_rung(find_model(model), version) == rung


@pytest.mark.parametrize(
    "message",
    [
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later",
        "Invalid schema for response_format 'answer': In context=(), 'required' is required to be supplied",
        "'response_format.type' must be 'json_schema' or 'text'",
        "1 validation error for Request\nbody -> response_format\n  extra fields not permitted",
    ],
)
def test_a_refusal_of_the_shape_in_any_words(message: str) -> None:
    assert refused_parameter(Failure("rejected:400", message, http_status=400)) == "response_format"
    assert refused_parameter(Failure("rejected:400", "Unsupported image.", http_status=400)) is None
