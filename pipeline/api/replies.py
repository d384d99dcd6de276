"""Status, headers and body of a response -> Reply or Failure. Pure; never raises on what a server sends.

Shapes: openai-openapi chat completion; Azure content filter results; `finish_details` of GPT-4V (how-to 2024-02).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.api.content_filter import read_completion_filter
from pipeline.api.failures import read_failure
from pipeline.items import Failure, Grounding, Reply, Usage

REQUEST_ID_HEADERS = ("x-request-id", "apim-request-id", "request-id")


def read_response(status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
    """What a response means. `headers` must look names up without regard to case (aiohttp's do)."""
    request_id = next((headers[name] for name in REQUEST_ID_HEADERS if name in headers), None)
    try:
        document = json.loads(body)
    except ValueError:  # also UnicodeDecodeError
        document = None
    if status != 200:
        return read_failure(status, headers, document, body, request_id)
    if not isinstance(document, dict):
        return Failure("server_error", "The endpoint answered 200 with a body that is not JSON.", request_id=request_id)
    return _read_completion(document, request_id)


def _read_completion(document: dict[str, Any], request_id: str | None) -> Reply | Failure:
    usage = read_usage(document.get("usage"))
    model = _text(document.get("model"))
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        if isinstance(document.get("error"), dict):  # some gateways answer 200 with an error inside
            return read_failure(200, {}, document, b"", request_id)
        return Failure(
            "server_error", "The endpoint answered 200 without any choice.",
            usage=usage, model_returned=model, request_id=request_id,
        )  # fmt: skip
    choice = choices[0]
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    finish_reason = read_finish_reason(choice)
    content_filter = read_completion_filter(document, choice)
    if finish_reason == "content_filter":
        category = next((f.category for f in content_filter if f.filtered and f.where == "completion"), "completion")
        return Failure(
            f"filtered:{category}", f"The provider's content filter withheld the answer ({category}).", "filtered",
            usage=usage, finish_reason=finish_reason, model_returned=model, request_id=request_id,
            content_filter=content_filter,
        )  # fmt: skip
    return Reply(
        caption=_content_text(message.get("content")),
        usage=usage,
        finish_reason=finish_reason,
        refusal=_text(message.get("refusal")),
        model_returned=model,
        request_id=request_id,
        content_filter=content_filter,
        grounding=tuple(_grounding(choice)),
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
    return {"max_tokens": "length"}.get(reason, reason) if isinstance(reason, str) else None


def _grounding(choice: Mapping[str, Any]) -> Iterator[Grounding]:
    enhancements = choice.get("enhancements")
    grounding = enhancements.get("grounding") if isinstance(enhancements, dict) else None
    lines = grounding.get("lines") if isinstance(grounding, dict) else None
    for line in lines if isinstance(lines, list) else ():
        for span in line.get("spans", ()) if isinstance(line, dict) else ():
            try:
                polygon = tuple((float(p["x"]), float(p["y"])) for p in span["polygon"])
                yield Grounding(str(span["text"]), int(span["offset"]), int(span["length"]), polygon)
            except (KeyError, TypeError, ValueError):
                continue


def _content_text(content: object) -> str:
    """`content` is a string; some compatible servers send a list of parts instead."""
    if isinstance(content, str):
        return content.strip()
    parts = content if isinstance(content, list) else ()
    return "".join(p["text"] for p in parts if isinstance(p, dict) and isinstance(p.get("text"), str)).strip()


def _count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
