"""What an answer must look like, and the words for it on the wire. Pure.

Three rungs, the first that the endpoint knows: `json_schema` guarantees the schema (OpenAI structured outputs guide),
`json_object` guarantees JSON (JSON mode: the word must stand in the messages), `prompt` asks for it. On the lower two
the schema stands in the system message, so that what follows is the same for every endpoint.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from pipeline.api.structured.normalise import DEFINITIONS, normalise, strict

Rung = Literal["json_schema", "json_object", "prompt"]
RUNGS: tuple[Rung, ...] = ("json_schema", "json_object", "prompt")

INSTRUCTION = "Answer with JSON alone: one object that is valid by this JSON Schema, without a code fence."


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of an answer. `shape_of` makes it."""

    name: str
    """Of the schema on the wire: letters, digits, `_` and `-`, at most 64."""
    schema: str
    """JSON Schema, as compact JSON: what answers are held to."""

    def response_format(self, rung: Rung) -> Mapping[str, Any] | None:
        """The parameter of that name; None: it is left out."""
        match rung:
            case "json_schema":
                return _json_schema(self)
            case "json_object":
                return {"type": "json_object"}
            case "prompt":
                return None

    @property
    def sent(self) -> str:
        """The schema on the first rung, as compact JSON."""
        return _compact(_json_schema(self)["json_schema"]["schema"])

    @property
    def told(self) -> str:
        """The schema in words, for endpoints that are not sent it otherwise."""
        return f"{INSTRUCTION}\n{self.schema}"


def shape_of(schema: str | None, pack: int = 1) -> Shape | None:
    """The shape of an answer about `pack` images, each held to `schema` (JSON text).

    About several, it is {"answers": [{"image": its number from 1, "answer": ...}, ...]}. None: plain text, or what the
    prompt itself says (`engine.packing.joining`).
    """
    if schema is None:
        return None
    return _alone(schema) if pack == 1 else _together(schema)


@lru_cache(maxsize=64)
def _alone(schema: str) -> Shape:
    return Shape("answer", _compact(normalise(json.loads(schema))))


@lru_cache(maxsize=64)
def _together(schema: str) -> Shape:
    answer = normalise(json.loads(schema))
    own = {name: answer.pop(name) for name in DEFINITIONS if name in answer}
    definitions = _moved({**own, "$defs": {**own.get("$defs", {}), "answer": answer}})
    number = {"type": "integer", "description": "The number of the image."}
    one = {"image": number, "answer": {"$ref": "#/$defs/answer"}}
    entry = {"type": "object", "properties": one, "required": list(one), "additionalProperties": False}
    answers = {"type": "array", "items": entry, "description": "One entry for each image, in their order."}
    root = {"type": "object", "properties": {"answers": answers}, "required": ["answers"]}
    return Shape("answers", _compact({**root, "additionalProperties": False, **definitions}))


def _moved(schema: Any) -> Any:
    """With references to what was the root pointing to where it lies now."""
    if isinstance(schema, dict):
        moved = {name: _moved(value) for name, value in schema.items()}
        reference = moved.get("$ref")
        if isinstance(reference, str) and (reference == "#" or reference.startswith("#/properties/")):
            moved["$ref"] = "#/$defs/answer" + reference[1:]
        return moved
    return [_moved(value) for value in schema] if isinstance(schema, list) else schema


@lru_cache(maxsize=64)
def _json_schema(shape: Shape) -> Mapping[str, Any]:
    schema = json.loads(shape.schema)
    closed = strict(schema)
    sent = {"name": shape.name, "strict": closed is not None, "schema": schema if closed is None else closed}
    return {"type": "json_schema", "json_schema": sent}


def _compact(schema: Any) -> str:
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
