"""Status, headers and body of a response -> Reply or Failure. Pure; never raises on what a server sends.

Shapes: openai-openapi chat completion; Azure content filter results; `finish_details` of GPT-4V (how-to 2024-02).
"""

from collections.abc import Mapping
from typing import Any

from pipeline.api.reading.content_filter import read_completion_filter
from pipeline.api.reading.failures import read_failure
from pipeline.api.reading.grounding import read_grounding
from pipeline.api.reading.text import as_count, as_dict, as_dicts, parse_json, read_code, read_text
from pipeline.api.reading.tool_errors import TOOL_ERROR_MARK, read_tool_error
from pipeline.items import Failure, Reply, Usage
from pipeline.texts import one_line, valid_unicode

REQUEST_ID_HEADERS = ("x-request-id", "apim-request-id", "request-id")


def read_response(status: int, headers: Mapping[str, str], body: bytes) -> Reply | Failure:
    """What a response means. Names of `headers` are in lower case, as a Response's are."""
    request_id = read_request_id(headers)
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
        # One scan of the body spares all answers but the odd one a look into each text of theirs.
        failed = read_tool_error(choice, request_id) if TOOL_ERROR_MARK in body else None
        return failed or _read_completion(document, choice, request_id)
    if document.get("error"):  # some gateways answer 200 with an error inside
        return read_failure(status, headers, document, body, request_id)
    return Failure(
        "server_error", f"The endpoint answered {status} without any choice.", http_status=status,
        usage=read_usage(document.get("usage")), model_returned=read_text(document.get("model")), request_id=request_id,
    )  # fmt: skip


def read_request_id(headers: Mapping[str, str]) -> str | None:
    """By which the provider knows the request."""
    for name in REQUEST_ID_HEADERS:
        if (request_id := headers.get(name)) is not None:
            return one_line(request_id)
    return None


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
    message = as_dict(choice.get("message"))
    content = _content_text(message.get("content"))
    return Reply(
        caption=content.strip(),
        usage=usage,
        finish_reason=finish_reason,
        refusal=read_text(message.get("refusal")),
        model_returned=model,
        request_id=request_id,
        content_filter=content_filter,
        grounding=read_grounding(choice, content),
    )


def read_usage(usage: object) -> Usage:
    """The `usage` object; every count that the server did not send as a whole number is None, never 0."""
    if not isinstance(usage, dict):
        return Usage()
    return Usage(
        prompt_tokens=as_count(usage.get("prompt_tokens")),
        completion_tokens=as_count(usage.get("completion_tokens")),
        total_tokens=as_count(usage.get("total_tokens")),
        cached_tokens=as_count(as_dict(usage.get("prompt_tokens_details")).get("cached_tokens")),
        reasoning_tokens=as_count(as_dict(usage.get("completion_tokens_details")).get("reasoning_tokens")),
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
    if not isinstance(content, str):
        texts = (part.get("text") for part in as_dicts(content))
        content = "".join(text for text in texts if isinstance(text, str))
    return valid_unicode(content)
