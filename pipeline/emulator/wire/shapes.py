"""`response_format` of a request, read the way the providers read it. Pure.

Words: as users report them of gpt-4-turbo and of Azure's gateway (learn.microsoft.com/answers/questions/2278693);
strict mode's by OpenAI's structured outputs guide; gpt-4-vision-preview knew no such parameter (vision FAQ).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pipeline.emulator.limits import Provider
from pipeline.emulator.wire.errors import Rejected, WireError
from pipeline.models import Model

SCHEMA_SINCE = "2024-08-01"
GUIDE = "https://platform.openai.com/docs/guides/structured-outputs"
PLACE = "response_format"


@dataclass(frozen=True, slots=True)
class WantedShape:
    """A JSON schema that an answer will be held to."""

    name: str
    schema: Mapping[str, Any]

    @property
    def text(self) -> str:
        """As the model is shown it."""
        return json.dumps(self.schema, separators=(",", ":"), ensure_ascii=False)


def read_shape(
    response_format: object, model: Model, provider: Provider, api_version: str | None, texts: str
) -> WantedShape | None:
    """None: any text, or any JSON. Rejected for what the model does not do. `texts`: of all messages."""
    if response_format is None:
        return None
    if model.follows_schema is False and model.json_mode is False and provider == "openai":
        _reject("1 validation error for Request\nbody -> response_format\n  extra fields not permitted")
    if not isinstance(response_format, dict):
        _reject(f"Invalid type for '{PLACE}': expected an object.", PLACE, "invalid_type")
    kind = response_format.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        known = "'json_object', 'json_schema', and 'text'"
        _reject(f"Invalid value: '{kind}'. Supported values are: {known}.", f"{PLACE}.type", "invalid_value")
    if kind == "json_object":
        _check_json_mode(model, texts)
    return _read_schema(response_format, model, provider, api_version) if kind == "json_schema" else None


def _check_json_mode(model: Model, texts: str) -> None:
    if model.json_mode is False:
        _reject(f"Invalid parameter: '{PLACE}' of type 'json_object' is not supported with this model.", PLACE)
    if "json" not in texts.lower():
        _reject(
            f"'messages' must contain the word 'json' in some form, to use '{PLACE}' of type 'json_object'.", "messages"
        )


def _read_schema(
    response_format: Mapping[str, Any], model: Model, provider: Provider, api_version: str | None
) -> WantedShape:
    if provider == "azure" and api_version and api_version[:10] < SCHEMA_SINCE:
        message = f"{PLACE} value as json_schema is enabled only for api versions {SCHEMA_SINCE}-preview and later"
        raise Rejected(WireError(400, message, code="BadRequest", azure_gateway=True))
    if model.follows_schema is False:
        _reject(
            f"Invalid parameter: '{PLACE}' of type 'json_schema' is not supported with this model. "
            f"Learn more about supported models at the Structured Outputs guide: {GUIDE}",
            PLACE,
        )
    wrapper, place = response_format.get("json_schema"), f"{PLACE}.json_schema"
    if not isinstance(wrapper, dict):
        _reject(f"Missing required parameter: '{place}'.", place, "missing_required_parameter")
    if not wrapper.get("name"):
        _reject(f"Missing required parameter: '{place}.name'.", f"{place}.name", "missing_required_parameter")
    name, schema = str(wrapper["name"]), wrapper.get("schema")
    if not isinstance(schema, dict):
        _reject(f"Missing required parameter: '{place}.schema'.", f"{place}.schema", "missing_required_parameter")
    if wrapper.get("strict"):
        _check_strict(schema, name, ())
    return WantedShape(name, schema)


def _check_strict(schema: Mapping[str, Any], name: str, path: tuple[str, ...]) -> None:
    """Rejected unless every object is closed and all its properties are required."""
    shown = "(" + ", ".join(f"'{step}'" for step in path) + ")"
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        properties = properties or {}
        if schema.get("additionalProperties") is not False:
            _invalid(name, f"In context={shown}, 'additionalProperties' is required to be supplied and to be false.")
        if set(schema.get("required") or ()) != set(properties):
            told = "'required' is required to be supplied and to be an array including every key in properties."
            _invalid(name, f"In context={shown}, {told}")
        for key, value in properties.items():
            if isinstance(value, dict):
                _check_strict(value, name, (*path, "properties", key))
    if isinstance(items := schema.get("items"), dict):
        _check_strict(items, name, (*path, "items"))
    for number, choice in enumerate(schema.get("anyOf") or ()):
        _check_strict(choice, name, (*path, "anyOf", str(number)))
    for key, value in (schema.get("$defs") or {}).items():
        _check_strict(value, name, (*path, "$defs", key))


def _invalid(name: str, told: str) -> NoReturn:
    _reject(f"Invalid schema for {PLACE} '{name}': {told}", PLACE)


def _reject(message: str, param: str | None = None, code: str | None = None) -> NoReturn:
    raise Rejected(WireError(400, message, param=param, code=code))
