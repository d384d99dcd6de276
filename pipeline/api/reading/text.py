"""Values in a server's JSON, which may be anything. Pure."""

import json
import re
from typing import Any

import msgspec

from pipeline.texts import valid_unicode

MAX_COUNT = 2**31 - 1
"""What the columns hold; a server that counts more than that does not count."""

_decode = msgspec.json.Decoder().decode
_NOT_IN_CODES = re.compile(r"[^a-z0-9_.-]+")


def parse_json(body: bytes) -> object:
    """The JSON document, or None when it is none (or too deep or too large a number to be worth reading)."""
    try:
        return _decode(body)  # 1 us for an answer, where the standard parser takes 5
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # it takes nothing that the standard parser would read otherwise, but not NaN, nor half an emoji
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # ValueError is also what bad UTF-8 raises
        return None


def read_text(value: object) -> str | None:
    """A string that is not empty, else None."""
    return valid_unicode(value) if isinstance(value, str) and value else None


def read_code(value: object) -> str:
    """A server's code or category as a stable word (some send numbers): lower case, at most 64 characters; else ""."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    code = str(value).lower()
    if not (code.isascii() and code.isidentifier()):  # most are, and need no regular expression
        code = _NOT_IN_CODES.sub("_", code)
    return code[:64]


def as_dict(value: object) -> dict[str, Any]:
    """An object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_dicts(value: object) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def as_number(value: object) -> float | None:
    """A finite number of a sensible size, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= MAX_COUNT else None  # neither NaN nor infinity is


def as_count(value: object) -> int | None:
    """A whole number from 0 on, else None."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None  # True is not: its type is bool
