"""Values in a server's JSON, which may be anything. Pure."""

import json
import re

from pipeline.texts import valid_unicode

_NOT_IN_CODES = re.compile(r"[^a-z0-9_.-]+")


def parse_json(body: bytes) -> object:
    """The JSON document, or None when it is none (or too deep or too large a number to be worth reading)."""
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
    return _NOT_IN_CODES.sub("_", str(value).lower())[:64]
