"""Azure's content filter verdicts, in replies and in errors. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pipeline.items import FilterResult


def read_categories(categories: object, where: Literal["prompt", "completion"]) -> Iterator[FilterResult]:
    """`{category: {filtered, severity | detected}}` as results, in the order of the names."""
    if not isinstance(categories, dict):
        return
    for category, verdict in sorted(categories.items()):
        if isinstance(verdict, dict) and isinstance(verdict.get("filtered"), bool):
            name = str(category).replace("-hyphen-", "_").replace("-", "_")  # seen: "self-hyphen-harm" for self_harm
            severity = verdict.get("severity")
            yield FilterResult(name, severity if isinstance(severity, str) else None, verdict["filtered"], where)


def read_completion_filter(document: Mapping[str, Any], choice: Mapping[str, Any]) -> tuple[FilterResult, ...]:
    """Both verdicts of a chat completion: on the prompt (top level) and on the answer (in the choice)."""
    results: list[FilterResult] = []
    prompts = document.get("prompt_filter_results") or document.get("prompt_annotations")
    for prompt in prompts if isinstance(prompts, list) else ():
        if isinstance(prompt, dict):
            results.extend(read_categories(prompt.get("content_filter_results"), "prompt"))
    results.extend(read_categories(choice.get("content_filter_results"), "completion"))
    return tuple(results)


def read_error_filter(error: Mapping[str, Any]) -> tuple[FilterResult, ...] | None:
    """The verdict that refused a prompt, or None when the error is about something else.

    Azure: code `content_filter` with `innererror.code` ResponsibleAIPolicyViolation; OpenAI: `content_policy_violation`
    without categories.
    """
    code = str(error.get("code") or "").lower()
    inner = error.get("innererror")
    inner = inner if isinstance(inner, dict) else {}
    if "content_filter" in code or inner.get("code") == "ResponsibleAIPolicyViolation":
        return tuple(
            read_categories(inner.get("content_filter_result") or inner.get("content_filter_results"), "prompt")
        )
    return () if "content_policy_violation" in code else None
