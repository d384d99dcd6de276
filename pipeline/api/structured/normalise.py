"""A user's JSON Schema as we hold answers to it, and as strict endpoints take it. Pure.

Strict: OpenAI and Azure guarantee the schema when every object is closed and every property required; an optional one
is then one that may be null (structured outputs guides of both). Azure's guide leaves more keywords out than OpenAI's;
what one of them leaves out stands in the description for the model to read, and answers are checked for it here.
"""

from collections.abc import Callable, Mapping
from typing import Any

JsonObject = dict[str, Any]

NULL = {"type": "null"}
KEPT = ("description", "type", "enum", "const")
CONSTRAINTS = (
    "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "uniqueItems",
)  # fmt: skip
DEFINITIONS = ("$defs", "definitions")
NOISE = {"title", "default", "$schema", "$id", "$comment"}
"""What pydantic and editors add, and models need not read: every word of a schema is on the bill of every image."""
SILENT = {"examples", "deprecated", "readOnly", "writeOnly", "discriminator"}
"""What strict endpoints do without."""
TOLD = {
    *KEPT, *CONSTRAINTS, *DEFINITIONS, *SILENT,
    *("anyOf", "oneOf", "items", "properties", "required", "additionalProperties"),
}  # fmt: skip


def normalise(schema: Mapping[str, Any]) -> JsonObject:
    """The same schema without noise, with the root's own reference resolved, and every optional property free to be
    null: that is how strict endpoints say that it is absent, and what an absent one is in Parquet.
    """
    root = dict(schema)
    while isinstance(reference := root.get("$ref"), str):
        definitions = {name: root[name] for name in DEFINITIONS if name in root}
        root = {**resolve(reference, root), **definitions}
    normalised: JsonObject = _walk(root, lambda schema: _free_to_be_null(_without_noise(schema)))
    return normalised


def resolve(reference: str, root: Mapping[str, Any]) -> Any:
    """What a reference within the document (`#/$defs/Place`) names; KeyError for any other."""
    if reference != "#" and not reference.startswith("#/"):
        raise KeyError(reference)
    found: Any = root
    for step in reference[2:].split("/") if reference != "#" else ():
        name = step.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) else found[name]
    return found


def strict(schema: Mapping[str, Any]) -> JsonObject | None:
    """The normalised schema for strict endpoints; None: they have no word for something in it."""
    try:
        return _strict(schema)
    except _NoWordError:
        return None


class _NoWordError(Exception):
    """Something that strict endpoints cannot be told."""


def _walk(schema: Any, change: Callable[[JsonObject], JsonObject]) -> Any:
    """Every schema in a schema, the inner ones first."""
    if not isinstance(schema, Mapping):
        return schema
    walked = dict(schema)
    for name in ("properties", "patternProperties", *DEFINITIONS):
        if isinstance(inner := walked.get(name), Mapping):
            walked[name] = {key: _walk(value, change) for key, value in inner.items()}
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(inner := walked.get(name), list):
            walked[name] = [_walk(value, change) for value in inner]
    for name in ("items", "additionalProperties"):
        if name in walked:
            walked[name] = _walk(walked[name], change)
    return change(walked)


def _without_noise(schema: JsonObject) -> JsonObject:
    return {name: value for name, value in schema.items() if name not in NOISE}


def _free_to_be_null(schema: JsonObject) -> JsonObject:
    if not isinstance(properties := schema.get("properties"), Mapping):
        return schema
    required = schema.get("required", ())
    free = {name: value if name in required else _or_null(value) for name, value in properties.items()}
    return {**schema, "properties": free}


def _or_null(schema: Any) -> Any:
    if not isinstance(schema, Mapping) or not schema:
        return schema
    kind = schema.get("type")
    choices = schema.get("anyOf")
    if kind == "null" or (isinstance(kind, list) and "null" in kind):
        return schema
    if isinstance(choices, list):
        return schema if NULL in choices else {**schema, "anyOf": [*choices, NULL]}
    if isinstance(kind, str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, NULL]}


def _strict(schema: Any) -> JsonObject:
    if not isinstance(schema, Mapping):
        raise _NoWordError
    if isinstance(reference := schema.get("$ref"), str):
        return {"$ref": reference}
    if isinstance(parts := schema.get("allOf"), list) and len(parts) == 1 and isinstance(parts[0], Mapping):
        return _strict({**{name: value for name, value in schema.items() if name != "allOf"}, **parts[0]})
    if schema.keys() - TOLD:
        raise _NoWordError
    made = {name: schema[name] for name in KEPT if name in schema}
    rules = [f"{name}: {schema[name]}" for name in CONSTRAINTS if name in schema]
    if rules:
        made["description"] = f"{made.get('description', '')} ({', '.join(rules)})".strip()
    for name in DEFINITIONS:
        if name in schema:
            made[name] = {key: _strict(value) for key, value in schema[name].items()}
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        made["anyOf"] = [_strict(choice) for choice in choices]
    if not {"type", "enum", "const", "anyOf"} & made.keys():
        raise _NoWordError
    return made | _inner(schema)


def _inner(schema: Mapping[str, Any]) -> JsonObject:
    """What is in an object or an array."""
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    inner = _closed(schema) if "object" in kinds else {}
    return {**inner, "items": _strict(schema.get("items"))} if "array" in kinds else inner


def _closed(schema: Mapping[str, Any]) -> JsonObject:
    properties = schema.get("properties")
    if not properties or schema.get("additionalProperties", False) is not False:
        raise _NoWordError  # any names at all
    closed = {name: _strict(value) for name, value in properties.items()}
    return {"properties": closed, "required": list(closed), "additionalProperties": False}
