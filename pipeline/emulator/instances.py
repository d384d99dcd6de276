"""Answers by a JSON schema: the plainest that fits, and how answers go wrong. Pure.

Rules of length and number are kept where the schema has them and where a description tells them, as `(maxLength: 160)`:
that is how they reach models whose endpoint refuses the keyword.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_TOLD = re.compile(r"\b(minLength|maxLength|minItems|maxItems|minimum|maximum): (-?[\d.]+)")
_OF_FORMAT = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T12:00:00Z",
    "time": "12:00:00Z",
    "email": "nobody@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def instance(schema: object, root: Mapping[str, Any], text: str, within: frozenset[str] = frozenset()) -> Any:
    """A value that the schema allows; strings hold `text`.

    `within`: the references that led here; one that leads back into itself ends in null.
    """
    if not isinstance(schema, Mapping):
        return None
    if isinstance(reference := schema.get("$ref"), str):
        return None if reference in within else instance(_resolve(reference, root), root, text, within | {reference})
    for word in ("anyOf", "oneOf", "allOf"):
        if isinstance(choices := schema.get(word), list) and choices:
            return instance(choices[0], root, text, within)
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    if isinstance(properties := schema.get("properties"), Mapping):
        return {name: instance(value, root, text, within) for name, value in properties.items()}
    return schema["const"] if "const" in schema else _of_kind(schema, root, text, within)


def _of_kind(schema: Mapping[str, Any], root: Mapping[str, Any], text: str, within: frozenset[str]) -> Any:
    kinds = schema.get("type")
    kind = next(iter(kinds), None) if isinstance(kinds, list) else kinds
    rules = _rules(schema)
    match kind:
        case "array":
            count = int(max(rules.get("minItems", 0), min(1, rules.get("maxItems", 1))))
            return [instance(schema.get("items"), root, text, within)] * count
        case "string":
            plain = _OF_FORMAT.get(str(schema.get("format")), text).ljust(int(rules.get("minLength", 0)), ".")
            return plain[: int(rules["maxLength"])] if "maxLength" in rules else plain
        case "integer" | "number":
            usual = 1 if kind == "integer" else 0.5
            number = min(max(usual, rules.get("minimum", usual)), rules.get("maximum", usual))
            return int(number) if kind == "integer" else number
    return {"boolean": True, "object": {}}.get(str(kind))


def _rules(schema: Mapping[str, Any]) -> dict[str, float]:
    told = {name: float(value) for name, value in _TOLD.findall(str(schema.get("description", "")))}
    own = {name: value for name, value in schema.items() if isinstance(value, int | float)}
    return told | own


def _resolve(reference: str, root: Mapping[str, Any]) -> object:
    found: object = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(name) if name and isinstance(found, Mapping) else found
    return found


@lru_cache(maxsize=64)
def told_schema(text: str) -> Mapping[str, Any] | None:
    """The JSON schema that stands in a question's text."""
    begin = text.find("{")
    while begin >= 0:
        try:
            found, end = json.JSONDecoder().raw_decode(text, begin)
        except ValueError:
            end = begin + 1
        else:
            if isinstance(found, dict) and isinstance(found.get("properties"), dict):
                return found
        begin = text.find("{", end)
    return None


def spoiled_answer(answer: str, fault: str | None) -> str:
    """An answer in JSON as a model gives it that does not keep to what it was told."""
    match fault:
        case "answer_not_json":
            return answer[: len(answer) // 2]
        case "schema_mismatch":
            found = json.loads(answer)
            return json.dumps({**found, next(iter(found), "answer"): {"unexpected": True}})
    return answer
