"""An answer's text -> its fields and its caption, or what is wrong with it. Pure.

The caption of an answer with fields is its text named `caption`, `alt_text`, `description` or `text`, the first of
these that it has; else its `tags`, with commas; else it has none.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from textwrap import shorten
from typing import Any

from pipeline.api.structured.shape import Shape

CAPTIONS = ("caption", "alt_text", "description", "text")
TAGS = "tags"

_FENCED = re.compile(r"```\w*\s*\n(?P<inside>.*?)\n?\s*```", re.S)


@dataclass(frozen=True, slots=True)
class Structured:
    """An answer that has its shape."""

    fields: Mapping[str, Any]
    caption: str | None
    """None: it holds none."""


@dataclass(frozen=True, slots=True)
class Invalid:
    """An answer that has not."""

    complaint: str
    """What is wrong with it, in words."""


def read_answer(text: str, shape: Shape) -> Structured | Invalid:
    """What an answer says. Remembers the last texts: an answer is judged for its row and for whether to ask again."""
    return _read(text, shape)


def caption_of(fields: Mapping[str, Any]) -> str | None:
    """The text of an answer that stands in column `caption`."""
    for name in CAPTIONS:
        if name in fields:
            found = fields[name]
            if found is None or isinstance(found, str):
                return found
    tags = fields.get(TAGS)
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        return ", ".join(tags) or None
    return None


@lru_cache(maxsize=1024)
def _read(text: str, shape: Shape) -> Structured | Invalid:
    try:
        found = _parse(text)
    except (ValueError, RecursionError) as trouble:
        return Invalid(f"The answer is not JSON ({shorten(str(trouble), 100)}).")
    complaint = _complaint(found, shape)
    return Structured(found, caption_of(found)) if complaint is None else Invalid(complaint)


def _parse(text: str) -> Any:
    """The JSON of an answer, which may stand in a code fence or between words."""
    try:
        return _loads(text)
    except ValueError as error:
        fenced = _FENCED.search(text)
        inside = fenced["inside"] if fenced else text[text.find("{") : text.rfind("}") + 1]
        if not inside:
            raise ValueError("it holds no object") from error
        try:
            return _loads(inside)
        except ValueError:
            raise error from None


def _loads(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _complaint(found: Any, shape: Shape) -> str | None:
    from referencing.exceptions import Unresolvable  # with jsonschema, see below

    try:
        return _checker(shape)(found)
    except RecursionError:
        return "The answer is nested too deeply to be checked."
    except (ArithmeticError, Unresolvable) as trouble:  # `multipleOf` of a number that no double holds
        return f"The answer cannot be checked ({shorten(str(trouble), 100)})."


@lru_cache(maxsize=8)
def _checker(shape: Shape) -> Callable[[Any], str | None]:
    """What is wrong with a value, in words."""
    from jsonschema.exceptions import best_match  # 0.1 s

    from pipeline.api.structured.validator import make_validator

    validator = make_validator(json.loads(shape.schema))

    def check(found: Any) -> str | None:
        error = best_match(validator.iter_errors(found))
        if error is None:
            return None
        value = repr(error.instance)
        message = error.message.replace(value, shorten(value, 60, placeholder="..."))
        rule = shorten(f"{error.validator}: {json.dumps(error.validator_value)}", 80)
        return f"The answer does not fit the schema at {error.json_path}: {shorten(message, 200)} ({rule})."

    return check
