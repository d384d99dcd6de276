"""Replies as they came, as JSON lines that wait for the next rows to be written: nothing of this touches a disk.

A line is {"key", "at", "endpoint", "status", "request_id", "headers", "body"}: of every reply, so an image may have
several; `request_id` and `key` are those of the rows (of a pack, the key of its first image). `body` is the reply's
JSON, or its text where it is none.
"""

import json
import re
from typing import Any

from pipeline.api.attempt import Target
from pipeline.api.client import Response
from pipeline.api.reading.replies import read_request_id
from pipeline.api.reading.text import parse_json
from pipeline.clock import Clock, utc
from pipeline.texts import redact, valid_unicode

HIDDEN_HEADERS = frozenset({"set-cookie", "authorization", "proxy-authenticate", "www-authenticate"})
"""What a session or a login is made of; the key itself is taken out by the client, wherever it is quoted."""


class RawReplies:
    """Collects lines until somebody takes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: list[bytes] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, key: str, target: Target, response: Response) -> None:
        self._lines.append(render_line(key, target, response, utc(self._clock.time()).isoformat()))

    def take(self) -> bytes:
        lines, self._lines = b"".join(self._lines), []
        return lines

    def put_back(self, lines: bytes) -> None:
        """They could not be written: first in line the next time."""
        if lines:
            self._lines.insert(0, lines)


def render_line(key: str, target: Target, response: Response, at: str) -> bytes:
    """One line. An answer is as the model gave it; of anything else secrets are hidden, as in the message of a row."""
    body, is_answer = _body(response)
    headers = {
        name: valid_unicode(value if is_answer else redact(value))
        for name, value in response.headers.items()
        if name not in HIDDEN_HEADERS
    }
    line = {
        "key": valid_unicode(key),
        "at": at,
        "endpoint": target.name,
        "status": response.status,
        "request_id": read_request_id(response.headers),
        "headers": headers,
    }
    return json.dumps(line, separators=(",", ":")).encode()[:-1] + b',"body":' + body + b"}\n"


def _body(response: Response) -> tuple[bytes, bool]:
    """Its JSON on one line, or its text as a JSON string; and whether it is an answer."""
    text = response.body.decode("utf-8-sig", "replace")
    document: Any = parse_json(text.encode())
    if response.status < 300 and isinstance(document, dict) and document.get("choices"):
        return _on_one_line(text), True
    try:
        shown = redact(json.dumps(_redacted(document), ensure_ascii=False))
    except RecursionError:
        document, shown = None, ""
    is_json = document is not None and parse_json(shown.encode()) is not None
    return shown.encode() if is_json else json.dumps(redact(_ESCAPED.sub(_unescaped, text))).encode(), False


# Where JSON stands in JSON, or is none, a signature may follow on `\u0026`, and a name on `\"`.
_ESCAPED = re.compile(r'\\(?:u0026|["/])')


def _unescaped(escape: re.Match[str]) -> str:
    return "&" if escape[0] == r"\u0026" else escape[0][1]


def _redacted(value: Any) -> Any:
    r"""Each text by itself, without the escapes that hide what is a secret: .NET writes `&` as `\u0026`."""
    if isinstance(value, str):
        return redact(valid_unicode(value))
    if isinstance(value, list):
        return [_redacted(each) for each in value]
    if isinstance(value, dict):
        return {redact(valid_unicode(name)): _redacted(each) for name, each in value.items()}
    return value


def _on_one_line(document: str) -> bytes:
    """As it came, but for line breaks, which in JSON stand between tokens only."""
    return document.replace("\r", " ").replace("\n", " ").encode()
