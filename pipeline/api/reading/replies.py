"""Status, headers and body of a response -> Reply or Failure. Pure; never raises on what a server sends.

Shapes: openai-openapi chat completion; Azure content filter results; `finish_details` of GPT-4V (how-to 2024-02).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.api.reading.content_filter import read_completion_filter
from pipeline.api.reading.failures import read_failure
from pipeline.api.reading.text import parse_json, read_code, read_text
from pipeline.items import Failure, Grounding, Reply, Usage
from pipeline.texts import one_line, valid_unicode

REQUEST_ID_HEADERS = ("x-request-id", "apim-request-id", "request-id")
MAX_COUNT = 2**31 - 1
"""What the columns hold; a server that counts more than that does not count."""


def read_response(status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
    """What a response means. `headers` must look names up without regard to case (aiohttp's do)."""
    request_id = next((one_line(headers[name]) for name in REQUEST_ID_HEADERS if name in headers), None)
    document = parse_json(body)
    if not 200 <= status < 300:
        return read_failure(status, headers, document, body, request_id)
    if not isinstance(document, dict):
        return Failure(
            "server_error", f"The endpoint answered {status} with a body that is not a JSON object.",
            http_status=status, request_id=request_id,
        )  # fmt: skip
    choices = document.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict):
        return _read_completion(document, choice, request_id)
    if document.get("error"):  # some gateways answer 200 with an error inside
        return read_failure(status, headers, document, body, request_id)
    return Failure(
        "server_error", f"The endpoint answered {status} without any choice.", http_status=status,
        usage=read_usage(document.get("usage")), model_returned=read_text(document.get("model")), request_id=request_id,
    )  # fmt: skip


def _read_completion(document: dict[str, Any], choice: dict[str, Any], request_id: str | None) -> Reply | Failure:
    usage = read_usage(document.get("usage"))
    model = read_text(document.get("model"))
    finish_reason = read_finish_reason(choice)
    content_filter = read_completion_filter(document, choice)
    if finish_reason == "content_filter":
        category = next((f.category for f in content_filter if f.filtered and f.where == "completion"), "completion")
        return Failure(
            f"filtered:{category}", f"The provider's content filter withheld the answer ({category}).", "filtered",
            usage=usage, finish_reason=finish_reason, model_returned=model, request_id=request_id,
            content_filter=content_filter,
        )  # fmt: skip
    message = _dict(choice.get("message"))
    content = _content_text(message.get("content"))
    return Reply(
        caption=content.strip(),
        usage=usage,
        finish_reason=finish_reason,
        refusal=read_text(message.get("refusal")),
        model_returned=model,
        request_id=request_id,
        content_filter=content_filter,
        grounding=tuple(_grounding(choice, content)),
    )


def read_usage(usage: object) -> Usage:
    """The `usage` object; every count that the server did not send as a whole number is None, never 0."""
    if not isinstance(usage, dict):
        return Usage()
    return Usage(
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        total_tokens=_count(usage, "total_tokens"),
        cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )


def read_finish_reason(choice: Mapping[str, Any]) -> str | None:
    """`finish_reason`, or what the older `finish_details` says in today's words (its `max_tokens` is `length`)."""
    reason = choice.get("finish_reason") or choice.get("finish_details")
    if isinstance(reason, dict):
        reason = reason.get("type")
    word = read_code(reason)
    return "length" if word == "max_tokens" else word or None


def _content_text(content: object) -> str:
    """`content` is a string; some compatible servers send a list of parts instead."""
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return valid_unicode("".join(text for text in texts if isinstance(text, str)))


def _grounding(choice: Mapping[str, Any], content: str) -> Iterator[Grounding]:
    """Spans with their place in the caption; on the wire it is their place in one of the lines that make it up."""
    begun = len(content) - len(content.lstrip())  # where the caption begins in what was sent
    place = 0
    for line in _dicts(_dict(_dict(choice.get("enhancements")).get("grounding")).get("lines")):
        text = read_text(line.get("text")) or ""
        place = max(content.find(text, place), 0)
        for span in _dicts(line.get("spans")):
            offset, length = _count(span, "offset"), _count(span, "length")
            corners = [(_number(corner.get("x")), _number(corner.get("y"))) for corner in _dicts(span.get("polygon"))]
            polygon = tuple((x, y) for x, y in corners if x is not None and y is not None)
            if offset is None or length is None or len(polygon) < len(corners):
                continue
            if begun <= place + offset <= len(content) - length:
                yield Grounding(read_text(span.get("text")) or "", place + offset - begun, length, polygon)


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= MAX_COUNT else None  # neither NaN nor infinity is


def _count(holder: object, name: str) -> int | None:
    value = _dict(holder).get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None
