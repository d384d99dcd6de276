"""An error response -> Failure: which of our stable reasons it is, classified by status, code, type and text. Pure.

The reasons that stop the whole run are `credentials_refused`, `quota_exhausted`, `not_found`, `wrong_address` and
`unreachable`; `retry.decide` acts on them and no row ever carries them. Sources: provider error guides, bodies that
users published.
"""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.api.reading.content_filter import read_error_filter
from pipeline.api.reading.headers import read_retry_after
from pipeline.api.reading.text import read_code
from pipeline.items import Failure
from pipeline.texts import one_line

# 2026 siblings of insufficient_quota; their type may still be insufficient_quota.
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "budget_exceeded",  # LiteLLM's proxy, with status 422
    }
)
CREDENTIAL_CODES = frozenset({"invalid_api_key", "no_db_connection"})
"""The latter is what LiteLLM's proxy without a database says to any key but its master's, with status 400."""
NOT_FOUND_CODES = frozenset({"model_not_found", "deploymentnotfound", "notfound", "resourcenotfound"})
DOWNLOAD_CODES = frozenset({"invalid_image_url", "failed_to_download_image"})
REASON_OF_STATUS = {
    404: "not_found",
    405: "wrong_address",
    408: "timeout",
    409: "server_error",
    413: "rejected:too_large",
}
MAX_TEXT_CHARACTERS = 4096
_OVERLOADED = re.compile(r"overloaded|high demand|server is busy|slow down", re.I)
_BAD_KEY = re.compile(r"(?:incorrect|invalid) api key|api key not valid", re.I)  # some servers say so with 400
# Gateways put the status into `code`, and what it is about into the text alone.
_UNKNOWN_MODEL = re.compile(r"\binvalid model name\b|\bmodel\b.{0,80}\bdoes not exist\b", re.I)
_TOO_LONG = re.compile(r"context ?window ?exceeded|maximum context length", re.I)
_TITLE = re.compile(rb"<title>(.*?)</title>", re.I | re.S)


def read_failure(
    status: int, headers: Mapping[str, str], document: object, body: bytes, request_id: str | None
) -> Failure:
    """The failure that a response without an answer means. `document` is the parsed body, None when it was not JSON."""
    error = _error_object(document)
    code = read_code(error.get("code"))
    told = _message(status, headers, error, body)
    text = one_line(told) or f"HTTP {status}"
    content_filter = read_error_filter(error)
    if content_filter is not None:
        category = next((f.category for f in content_filter if f.filtered), "prompt")
        return Failure(
            f"filtered:{category}", text, "filtered", http_status=status, code=code or None,
            request_id=request_id, content_filter=content_filter,
        )  # fmt: skip
    param = error.get("param")
    return Failure(
        reason=_reason(_true_status(status, code), code, read_code(error.get("type")), text),
        message=text,
        http_status=status,
        code=code or None,
        param=one_line(param) if isinstance(param, str) else None,
        retry_after=read_retry_after(headers, told[:MAX_TEXT_CHARACTERS]),  # Gemini says it at the end of a page
        request_id=request_id,
    )


def _true_status(status: int, code: str) -> int:
    """Gateways answer 200 or 400 and put the status that they were given into `code`."""
    inner = int(code) if re.fullmatch(r"[45]\d\d", code) else status
    return inner if status <= 400 else status


def _reason(status: int, code: str, kind: str, text: str) -> str:
    if status == 402 or code in QUOTA_CODES or kind in QUOTA_CODES:
        return "quota_exhausted"
    if status == 429 or code == "rate_limit_exceeded":
        return _rate_limit_reason(text.lower())
    if status in (401, 403) or {code, kind} & CREDENTIAL_CODES or _BAD_KEY.search(text):
        return "credentials_refused"
    if code in NOT_FOUND_CODES or (status == 400 and _UNKNOWN_MODEL.search(text)):
        return "not_found"
    if status in REASON_OF_STATUS:
        return REASON_OF_STATUS[status]
    if status == 503 and text.lower() == "loading model":
        return "unreachable"  # llama.cpp listens before it can answer; that takes longer than the attempts of an image
    if not 300 <= status < 500 or _OVERLOADED.search(text):
        return "server_error"
    if code in DOWNLOAD_CODES and "download" in text.lower():
        return "server_error"  # else it is the address or the data itself that is bad
    if status < 400:
        return "wrong_address"
    told = "context_length_exceeded" if status == 400 and _TOO_LONG.search(text) else code
    return f"rejected:{told or status}"


def _rate_limit_reason(text: str) -> str:
    if "request too large" in text:
        return "rejected:exceeds_tpm"  # larger than a whole minute's tokens: waiting never helps
    if "rate limit" not in text and _OVERLOADED.search(text):
        return "server_error"  # some servers say 429 when it is they who lack capacity
    return "rate_limited"


def _error_object(document: object) -> dict[str, Any]:
    """The object that describes the error, whatever the server wraps it into.

    `{"error": {...}}`, the same in a list (Gemini), `{"error": "text"}`, or the fields at the top (`message`; FastAPI's
    `detail`).
    """
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return {}
    error = document.get("error") or document
    return error if isinstance(error, dict) else {"message": error}


def _message(status: int, headers: Mapping[str, str], error: Mapping[str, Any], body: bytes) -> str:
    if 300 <= status < 400:
        target = headers.get("location", "").partition("?")[0]
        return f"HTTP {status}, a redirect to {target or 'nowhere'}, which is not followed"
    told = error.get("message") or error.get("detail")
    if isinstance(told, str):
        return told
    if isinstance(told, list):
        return "; ".join(map(_finding, told))
    start = body[:MAX_TEXT_CHARACTERS].strip()
    if start.startswith(b"<"):  # a proxy's page
        title = _TITLE.search(start)
        return f"HTTP {status}: {title[1].decode('utf-8', 'replace') if title else 'a web page'}"
    return start.decode("utf-8", "replace")


def _finding(entry: object) -> str:
    """One finding of FastAPI's validation: where and what, without the input, which may be the whole image."""
    if not isinstance(entry, dict):
        return entry if isinstance(entry, str) else ""
    place = entry.get("loc")
    steps = [str(step) for step in place if isinstance(step, str | int)] if isinstance(place, list) else []
    return f"{'.'.join(steps)}: {entry.get('msg')}" if isinstance(entry.get("msg"), str) else ".".join(steps)
