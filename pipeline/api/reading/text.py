"""Texts of a server made fit for a row or a log: valid Unicode, one short line, no secret. Pure."""

import json
import re

MAX_MESSAGE_CHARACTERS = 500

_SURROGATES = re.compile("[\ud800-\udfff]")
_NOT_IN_CODES = re.compile(r"[^a-z0-9_.-]+")
# A secret that a word in front of it gives away; the word stays.
_NAMED_SECRET = re.compile(
    r"""(
        \bbearer\s+(?=\S{8})
      | (?:api|subscription|account|access)[-_ ]?key(?:\s+provided)?["']?\s*[:=]\s*["']?
      | \b(?:sig|key|token|secret|password)=
    )[^\s"'&,;<>()]+""",
    re.I | re.X,
)
# A secret that its own form gives away; `sk-ab***yz` is how OpenAI quotes a wrong key.
_SHAPED_SECRET = re.compile(r"\b(?:sk|sess|gsk|hf|xai)[-_][\w*.-]{4,}|\bAIza[\w-]{20,}|\beyJ[\w-]{8,}\.[\w.-]+")
_USER_INFO = re.compile(r"//[^/\s:@]*:[^/\s@]*@")
_IMAGE = re.compile(r"data:[\w.+/-]+;base64,[\w+/=-]*")


def parse_json(body: bytes) -> object:
    """The JSON document, or None when it is none (or too deep or too large a number to be worth reading)."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # ValueError is also what bad UTF-8 raises
        return None


def valid_unicode(text: str) -> str:
    """The same text with lone surrogates replaced: an answer cut off within an emoji holds one, and no file can."""
    return _SURROGATES.sub("\ufffd", text)


def read_text(value: object) -> str | None:
    """A string that is not empty, else None."""
    return valid_unicode(value) if isinstance(value, str) and value else None


def read_code(value: object) -> str:
    """A server's code or category as a stable word (some send numbers): lower case, at most 64 characters; else ""."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    return _NOT_IN_CODES.sub("_", str(value).lower())[:64]


def one_line(text: str) -> str:
    """A message for a row: no secret, no image data, no line breaks, at most MAX_MESSAGE_CHARACTERS."""
    text = " ".join(valid_unicode(text[: 8 * MAX_MESSAGE_CHARACTERS]).split())
    return redact(text)[:MAX_MESSAGE_CHARACTERS]


def redact(text: str) -> str:
    """Servers quote keys, and proxies whole headers and URLs; no secret may reach a row or a log."""
    text = _IMAGE.sub("[image]", text)
    text = _NAMED_SECRET.sub(r"\1[redacted]", text)
    text = _SHAPED_SECRET.sub("[redacted]", text)
    return _USER_INFO.sub("//[redacted]@", text)
