"""Prompt tokens of a request, as it is worded for an endpoint. Pure but for the vocabulary."""

import math
from collections.abc import Sequence

from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, system_text
from pipeline.api.structured.rungs import first_rung
from pipeline.api.structured.shape import shape_of
from pipeline.models import Model, prompt_tokens, schema_tokens

CHARACTERS_PER_TOKEN = 4
"""Of English, for models whose vocabulary is not known here."""


def expected_form(model: Model, api_version: str | None) -> Form:
    """How an endpoint of the model is asked until it refuses something. `api_version`: Azure's, if it is dated."""
    rung = first_rung(model, api_version if model.provider == "azure" else None)
    return Form(None, model.max_tokens_parameter, rung=rung, schema_told=model.provider == "compatible")


def request_tokens(
    options: ModelOptions,
    model: Model,
    form: Form,
    image_tokens: Sequence[int | None],
    prompt: str | None = None,
    pack: int = 1,
) -> int | None:
    """Of everything in a request; `prompt` is the image's own. None when the vocabulary or an image is unknown."""
    shape = shape_of(options.schema, pack)
    system = system_text(options.system, form, shape)
    counted = prompt_tokens(model, system, options.prompt if prompt is None else prompt, image_tokens)
    if counted is None or shape is None or form.rung != "json_schema":
        return counted
    schema = schema_tokens(model, shape.name, shape.sent)
    return None if schema is None else counted + schema


def guessed_text_tokens(options: ModelOptions, form: Form, prompt: str | None = None, pack: int = 1) -> int:
    """Of the texts of a request, by their length."""
    shape = shape_of(options.schema, pack)
    texts = [system_text(options.system, form, shape), options.prompt if prompt is None else prompt]
    if shape and form.rung == "json_schema":
        texts.append(shape.sent)
    return math.ceil(sum(map(len, texts)) / CHARACTERS_PER_TOKEN)
