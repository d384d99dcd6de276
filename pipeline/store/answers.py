"""Column `fields`: the type that a JSON Schema makes of it, and answers on their way in and out. Knows no files.

string, enum -> string; integer -> int64; number -> double; boolean -> bool; array -> list; object -> struct; a union
with null -> the same, as every column may be null. What has no one type in Arrow (objects with any names, other unions,
recursion) is JSON text, which the field's description says.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

_INT64 = range(-(2**63), 2**63)
_AS_JSON = "JSON text"


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """The column for one schema. A part keeps the type that it was written with."""

    type: pa.DataType
    pack: Callable[[Any], Any]
    """From an answer that is valid by the schema to what Arrow takes; a number too large for its type becomes null."""
    unpack: Callable[[Any], Any]
    """The other way, also from the text that `unified` may have made of it; a property that was left out is null."""
    description: str = ""


def answer_column(schema: str | None) -> AnswerColumn:
    """For JSON Schema as JSON; None: a job without answers of that kind, whose rows hold null."""
    if schema is None:
        # Parquet cannot hold an empty struct.
        return _plain(pa.struct([("caption", pa.string())]))
    root = json.loads(schema)
    return _column(root, root, ("#",))


def _plain(type_: pa.DataType, pack: Callable[[Any], Any] | None = None) -> AnswerColumn:
    unpack = _unchanged if type_ == pa.string() else _parsed
    return AnswerColumn(type_, lambda value: None if value is None else (pack or _unchanged)(value), unpack)


def _unchanged(value: Any) -> Any:
    return value


def _parsed(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


_PLAIN = {
    "string": _plain(pa.string()),
    "boolean": _plain(pa.bool_()),
    "integer": _plain(pa.int64(), lambda value: int(value) if int(value) in _INT64 else None),
    "number": _plain(pa.float64(), lambda value: _double(value)),
}
_JSON = AnswerColumn(
    pa.string(),
    lambda value: None if value is None else json.dumps(value, ensure_ascii=False),
    _parsed,
    _AS_JSON,
)


def _double(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _column(schema: Any, root: Mapping[str, Any], within: tuple[str, ...]) -> AnswerColumn:
    """`within`: the references that led here; one that leads back into itself has no type of finite depth."""
    if not isinstance(schema, Mapping):
        return _JSON
    if isinstance(reference := schema.get("$ref"), str):
        return _JSON if reference in within else _column(_resolve(reference, root), root, (*within, reference))
    for word in ("anyOf", "oneOf", "allOf"):
        if choices := schema.get(word):
            return _union([_column(choice, root, within) for choice in choices if not _is_null(choice)])
    if "const" in schema or "enum" in schema:
        return _of_values(schema.get("enum", [schema.get("const")]))
    kinds = schema.get("type", [])
    kinds = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "null"]
    return _union([_of_kind(kind, schema, root, within) for kind in kinds])


def _of_kind(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any], within: tuple[str, ...]) -> AnswerColumn:
    match kind:
        case "array":
            return _list(_column(schema["items"], root, within)) if schema.get("items") else _JSON
        case "object":
            properties = schema.get("properties")
            if not properties or schema.get("additionalProperties"):
                return _JSON
            described = {name: _description(value) for name, value in properties.items()}
            return _struct({name: _column(value, root, within) for name, value in properties.items()}, described)
    return _PLAIN.get(kind, _JSON)


def _list(item: AnswerColumn) -> AnswerColumn:
    return AnswerColumn(
        pa.list_(item.type),
        lambda values: None if values is None else [item.pack(value) for value in values],
        lambda values: None if values is None else [item.unpack(value) for value in _parsed(values)],
        f"items are {item.description}" if item.description else "",
    )


def _struct(columns: Mapping[str, AnswerColumn], described: Mapping[str, str]) -> AnswerColumn:
    fields = []
    for name, column in columns.items():
        told = "; ".join(filter(None, (described[name], column.description)))
        fields.append(pa.field(name, column.type, metadata={"description": told} if told else None))

    def pack(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else {name: column.pack(value.get(name)) for name, column in columns.items()}

    def unpack(value: Mapping[str, Any] | str | None) -> dict[str, Any] | None:
        found = _parsed(value)
        return None if found is None else {name: column.unpack(found.get(name)) for name, column in columns.items()}

    return AnswerColumn(pa.struct(fields), pack, unpack)


def _union(choices: Sequence[AnswerColumn]) -> AnswerColumn:
    """What holds all of them."""
    if len(choices) == 1:
        return choices[0]
    types = {choice.type for choice in choices}
    if types == {pa.int64(), pa.float64()}:
        return _PLAIN["number"]
    return next((plain for plain in _PLAIN.values() if {plain.type} == types and _JSON not in choices), _JSON)


def _of_values(values: Sequence[Any]) -> AnswerColumn:
    kinds = {type(value) for value in values if value is not None}
    names = {str: "string", bool: "boolean", int: "integer", float: "number"}
    if kinds == {int, float}:
        return _PLAIN["number"]
    return _PLAIN[names[kinds.pop()]] if len(kinds) == 1 and kinds <= names.keys() else _JSON


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _description(schema: Any) -> str:
    told = schema.get("description") if isinstance(schema, Mapping) else None
    return told if isinstance(told, str) else ""


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")] if step else found
    return found
