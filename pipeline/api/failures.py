"""An error response -> Failure: which of our stable reasons it is, classified by status, code, type and text. Pure.

The reasons that stop the whole run are `credentials_refused`, `quota_exhausted`, `not_found` and `unreachable`;
`retry.decide` acts on them and no row ever carries them. Sources: provider error guides, bodies users published.
"""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.api.content_filter import read_error_filter
from pipeline.api.headers import read_retry_after
from pipeline.items import Failure

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
    }
)
NOT_FOUND_CODES = frozenset({"model_not_found", "deploymentnotfound", "notfound", "resourcenotfound"})
DOWNLOAD_CODES = frozenset({"invalid_image_url", "failed_to_download_image"})
_OVERLOADED = re.compile(r"overloaded|high demand|server is busy|slow down", re.I)
_SECRET = re.compile(r"\b(?:sk|key|sess)-[\w*-]{4,}|(?i:bearer)\s+\S+|(?i:sig)=[^&\s]+")
MAX_MESSAGE_CHARACTERS = 500


def read_failure(
    status: int, headers: Mapping[str, str], document: object, body: bytes, request_id: str | None
) -> Failure:
    """The failure that a non-200 response means. `document` is the parsed body, or None when it was not JSON."""
    error = _error_object(document)
    code = str(error.get("code") or "").lower()
    kind = str(error.get("type") or "").lower()
    text = _message(error, body) or f"HTTP {status}"
    content_filter = read_error_filter(error)
    if content_filter is not None:
        category = next((f.category for f in content_filter if f.filtered), "prompt")
        return Failure(
            f"filtered:{category}", text, "filtered", http_status=status, code=code,
            request_id=request_id, content_filter=content_filter,
        )  # fmt: skip
    return Failure(
        reason=_reason(status, code, kind, text),
        message=text,
        http_status=status,
        code=code or None,
        param=error.get("param") if isinstance(error.get("param"), str) else None,
        retry_after=read_retry_after(headers, text),
        request_id=request_id,
    )


def _reason(status: int, code: str, kind: str, text: str) -> str:
    if code in QUOTA_CODES or kind in QUOTA_CODES:
        return "quota_exhausted"
    # Some servers say 429 for "engine overloaded", or 200/400 with code "429" inside.
    if status == 429 or code in ("429", "rate_limit_exceeded"):
        return "server_error" if _OVERLOADED.search(text) and "rate limit" not in text.lower() else "rate_limited"
    if status in (401, 403):
        return "credentials_refused"
    if status == 404 or code in NOT_FOUND_CODES:
        return "not_found"
    if status == 408:
        return "timeout"
    if status >= 500 or status == 409 or code in DOWNLOAD_CODES or _OVERLOADED.search(text):
        return "server_error"
    if status == 413:
        return "rejected:too_large"
    return f"rejected:{code or status}"


def _error_object(document: object) -> dict[str, Any]:
    """`{"error": {...}}`, `{"error": "text"}`, `{"message": ...}` or FastAPI's `{"detail": ...}` as one dict."""
    if not isinstance(document, dict):
        return {}
    error = document.get("error", document)
    if isinstance(error, dict):
        return error
    return {"message": str(error)}


def _message(error: Mapping[str, Any], body: bytes) -> str:
    text = error.get("message") or error.get("detail")
    if not isinstance(text, str) or not text:
        text = body[:MAX_MESSAGE_CHARACTERS].decode("utf-8", "replace")
    return redact(" ".join(text.split()))[:MAX_MESSAGE_CHARACTERS]


def redact(text: str) -> str:
    """Server texts quote keys ("Incorrect API key provided: sk-ab***yz"); no secret may reach a row or a log."""
    return _SECRET.sub("[redacted]", text)
