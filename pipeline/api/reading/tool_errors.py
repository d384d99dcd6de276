"""An error that Azure's `/extensions/` path writes where the answer should be, with status 200. Pure.

Seen: a choice with `messages` instead of `message`, whose one has the role `tool` and a content with an `ErrorMessage`
and an `ErrorCode` between braces, which is no JSON (azureai-samples #114, azure-docs #121051).
"""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.api.reading.text import as_dict, as_dicts
from pipeline.items import Failure
from pipeline.texts import one_line

TOOL_ERROR_MARK = b"ErrorMessage"
"""Stands in every body that holds such an error."""
_ERROR = re.compile(r'\{"ErrorMessage":\s*(?P<message>.*?),\s*"ErrorCode":\s*(?P<code>\d{3})\}', re.DOTALL)
_REASONS = {404: "rejected:document_not_found", 408: "timeout", 429: "rate_limited"}


def read_tool_error(choice: Mapping[str, Any], request_id: str | None) -> Failure | None:
    """What went wrong with the video or the data source; None when the choice is an answer."""
    for holder in (choice, *as_dicts(choice.get("messages"))):
        for name in ("message", "delta"):
            content = as_dict(holder.get(name)).get("content")
            if isinstance(content, str) and (found := _ERROR.search(content)):
                code = int(found["code"])
                reason = _REASONS.get(code) or ("server_error" if code >= 500 else f"rejected:{code}")
                return Failure(reason, one_line(found["message"]), http_status=200, request_id=request_id)
    return None
