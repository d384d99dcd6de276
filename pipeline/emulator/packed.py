"""Questions about several images that want an answer about each: how they are known, and how answers go wrong. Pure.

Known by the shape that is wanted: an object whose one property is a list of objects with a number `image`. A schema
says so, or an example in the question's text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

NUMBER = "image"
_EXAMPLE = re.compile(r'\{\s*"\w+"\s*:\s*\[\s*\{')


def entry_schema(schema: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The name of the list and the schema of its entries; None for any other question."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or len(properties) != 1:
        return None
    [(name, listed)] = properties.items()
    entry = listed.get("items") if isinstance(listed, Mapping) else None
    own = entry.get("properties") if isinstance(entry, Mapping) else None
    number = own.get(NUMBER) if isinstance(own, Mapping) else None
    if entry is None or not isinstance(number, Mapping) or number.get("type") != "integer":
        return None
    return name, entry


@lru_cache(maxsize=64)
def schema_in(text: str) -> Mapping[str, Any] | None:
    """The schema that an example in a question's text stands for."""
    for begin in _EXAMPLE.finditer(text):
        try:
            example, _ = json.JSONDecoder().raw_decode(text, begin.start())
        except ValueError:
            continue
        [(name, listed)] = example.items() if len(example) == 1 else [("", ())]
        if listed and isinstance(listed[0].get(NUMBER), int):
            kinds = {key: "integer" if isinstance(value, int) else "string" for key, value in listed[0].items()}
            entry = {"type": "object", "properties": {key: {"type": kind} for key, kind in kinds.items()}}
            return {"type": "object", "properties": {name: {"type": "array", "items": entry}}}
    return None


def spoiled(entries: Sequence[Mapping[str, Any]], fault: str | None) -> Sequence[Mapping[str, Any]]:
    """The entries as a model gives them that lost count; the one in the middle is lost or comes twice."""
    middle = len(entries) // 2
    match fault:
        case "entry_missing":
            return [*entries[:middle], *entries[middle + 1 :]]
        case "entry_twice":
            return [*entries[: middle + 1], *entries[middle:]]
        case "entries_shuffled":
            return entries[::-1]
        case "entry_too_many":
            return [*entries, {**entries[-1], NUMBER: len(entries) + 1}]
    return entries
