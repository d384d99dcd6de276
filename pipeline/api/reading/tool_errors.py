"""An error that Azure's `/extensions/` path writes where the answer should be, with status 200. Pure.

Seen: a choice with `messages` instead of `message`, whose one has the role `tool` and a content with an `ErrorMessage`
and an `ErrorCode` between braces, which is no JSON (azureai-samples #114, azure-docs #121051).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.items import Failure
from pipeline.texts import one_line

_ERROR = re.compile(r'\{"ErrorMessage":\s*(?P<message>.*?),\s*"ErrorCode":\s*(?P<code>\d{3})\}', re.DOTALL)
_REASONS = {404: "rejected:document_not_found", 408: "timeout", 429: "rate_limited"}


def read_tool_error(choice: Mapping[str, Any], request_id: str | None) -> Failure | None:
    """What went wrong with the video or the data source; None when the choice is an answer."""
    for content in _contents(choice):
        if found := _ERROR.search(content):
            code = int(found["code"])
            reason = _REASONS.get(code) or ("server_error" if code >= 500 else f"rejected:{code}")
            return Failure(reason, one_line(found["message"]), http_status=200, request_id=request_id)
    return None


def _contents(choice: Mapping[str, Any]) -> Iterator[str]:
    messages = choice.get("messages")
    for message in [choice, *(messages if isinstance(messages, list) else ())]:
        for name in ("message", "delta"):
            part = message.get(name) if isinstance(message, Mapping) else None
            content = part.get("content") if isinstance(part, Mapping) else None
            if isinstance(content, str):
                yield content
