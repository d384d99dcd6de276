"""Azure's content filter verdicts, in replies and in errors. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pipeline.api.reading.text import read_code
from pipeline.items import FilterResult


def read_categories(categories: object, where: Literal["prompt", "completion"]) -> Iterator[FilterResult]:
    """`{category: {filtered, severity | detected}}` as results, in the order of the names."""
    if not isinstance(categories, dict):
        return
    for category, verdict in sorted(categories.items()):
        if isinstance(verdict, dict) and isinstance(verdict.get("filtered"), bool):
            name = read_code(category).replace("-hyphen-", "_").replace("-", "_")  # seen: self-hyphen-harm
            severity = verdict.get("severity")
            yield FilterResult(name, read_code(severity) or None, verdict["filtered"], where)


def read_completion_filter(document: Mapping[str, Any], choice: Mapping[str, Any]) -> tuple[FilterResult, ...]:
    """Both verdicts of a chat completion: on the prompt (top level) and on the answer (in the choice)."""
    prompts = document.get("prompt_filter_results") or document.get("prompt_annotations")
    completion = choice.get("content_filter_results")
    if not prompts and not completion:
        return ()
    results: list[FilterResult] = []
    for prompt in prompts if isinstance(prompts, list) else ():
        if isinstance(prompt, dict):
            results.extend(read_categories(prompt.get("content_filter_results"), "prompt"))
    results.extend(read_categories(completion, "completion"))
    return tuple(results)


def read_error_filter(error: Mapping[str, Any]) -> tuple[FilterResult, ...] | None:
    """The verdict that refused a prompt, or None when the error is about something else.

    Azure: code `content_filter` with `innererror.code` ResponsibleAIPolicyViolation, in two spellings, or behind a
    proxy nothing but the sentence; OpenAI: `content_policy_violation` and its like, without categories.
    """
    code = read_code(error.get("code"))
    inner = error.get("innererror") or error.get("inner_error")
    inner = inner if isinstance(inner, dict) else {}
    message = error.get("message")
    if (
        "content_filter" in code
        or "content_policy" in code
        or inner.get("code") == "ResponsibleAIPolicyViolation"
        or (isinstance(message, str) and "content management policy" in message)
    ):
        categories = inner.get("content_filter_result") or inner.get("content_filter_results")
        return tuple(read_categories(categories, "prompt"))
    return None
