import json
from typing import Any

import pytest

from pipeline.api.attempt import Target
from pipeline.api.client import Response
from pipeline.engine.raw import RawReplies, render_line
from tests.helpers.clock import FakeClock

TARGET = Target("host/gpt-4o", "openai", "gpt-4o", "host", 443)
ANSWER = b'{\r\n  "id": "x",\n  "choices": [{"message": {"content": "A sign: key=hunter2, \\u00e9\\n\xc3\xa9"}}]\n}\n'


def rendered(status: int, body: bytes, **headers: str) -> dict[str, Any]:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    text = render_line("a/ü.jpg", TARGET, Response(status, shown, body), "2026-11-22T03:00:00+00:00")
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


def test_an_answer_is_as_it_came() -> None:
    line = rendered(200, ANSWER, x_request_id="req_1", set_cookie="session", x_ratelimit_remaining_tokens="5")
    assert line == {
        "key": "a/ü.jpg",
        "at": "2026-11-22T03:00:00+00:00",
        "endpoint": "host/gpt-4o",
        "status": 200,
        "request_id": "req_1",
        "headers": {"x-request-id": "req_1", "x-ratelimit-remaining-tokens": "5"},
        "body": json.loads(ANSWER),
    }


@pytest.mark.parametrize(
    ("status", "body", "shown"),
    [
        (400, b'{"error": "api key: sk-abcdefgh1234 is bad"}', {"error": "api key: [redacted] is bad"}),
        (200, b'{"error": {"message": "Bearer abcdefghijkl"}}', {"error": {"message": "Bearer [redacted]"}}),
        (400, rb'{"error": "https://a/b?sv=1\u0026sig=abc%3D is"}', {"error": "https://a/b?sv=1&sig=[redacted] is"}),
        (400, rb'{"error": "{\"api_key\": \"abcdef\"}"}', {"error": '{"api_key": "[redacted]"}'}),
        (400, rb'{"error": "https:\/\/bob:hunter2@host\/"}', {"error": "https://[redacted]@host/"}),
        (400, b'{"api_key": "abcdef", "a": [1, null]}', {"api_key": "[redacted]", "a": [1, None]}),
        (502, rb'cut off: {"error": "b.jpg?sv=1\u0026sig=abc', 'cut off: {"error": "b.jpg?sv=1&sig=[redacted]'),
        (502, b"<html>\n<title>sig=abc%3D</title>", "<html>\n<title>sig=[redacted]</title>"),
        (200, b"\xff\xfe not text", "\ufffd\ufffd not text"),
        (200, "{}".encode("utf-16"), "\ufffd\ufffd{\x00}\x00"),
        (200, b"", ""),
        (200, b"[" * 100_000, "[" * 100_000),
    ],
)  # fmt: skip
def test_of_anything_else_secrets_are_hidden(status: int, body: bytes, shown: object) -> None:
    line = rendered(status, body, location="https://bob:hunter2@elsewhere/?sig=abc")
    assert line["body"] == shown
    assert line["headers"] == {"location": "https://[redacted]@elsewhere/?sig=[redacted]"}


def test_lines_that_could_not_be_written_come_first_the_next_time() -> None:
    replies = RawReplies(FakeClock())
    assert not replies
    replies.add("a", TARGET, Response(200, {}, ANSWER))
    assert replies
    taken = replies.take()
    replies.add("b", TARGET, Response(200, {}, ANSWER))
    replies.put_back(taken)
    assert [json.loads(line)["key"] for line in replies.take().splitlines()] == ["a", "b"]
    replies.put_back(b"")
    assert not replies
