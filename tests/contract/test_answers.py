"""Answers: whatever our client can ask, the `openai` package can ask too, and both read the same out of the answer."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.api.client import Response
from pipeline.items import FilterResult, Usage
from tests.contract.both import ENHANCED, INDEX, WAYS, Both, Case, Way, ask_both

pytestmark = pytest.mark.integration

SCHEMA = json.dumps({"type": "object", "properties": {"title": {"type": "string"}, "people": {"type": "integer"}}})


def details(both: Both) -> list[str]:
    parts = both.body["messages"][-1]["content"]
    return [part["image_url"]["detail"] for part in parts if part["type"] == "image_url"]


def in_form(kind: str) -> Callable[[Both], bool]:
    return lambda both: both.body["response_format"]["type"] == kind and set(json.loads(both.reply.caption)) == {
        "title", "people"
    }  # fmt: skip


ANSWERS: dict[str, tuple[Case, Callable[[Both], bool]]] = {
    "low": (Case(options={"detail": "low"}), lambda both: details(both) == ["low"]),
    "high": (
        Case(options={"detail": "high"}, sizes=((1600, 1200),)),
        lambda both: details(both) == ["high"] and (both.reply.usage.prompt_tokens or 0) > 765,
    ),
    "auto": (Case(options={"detail": "auto"}), lambda both: details(both) == ["auto"]),
    "original": (Case("gpt-5.4", options={"detail": "original"}), lambda both: details(both) == ["original"]),
    "system and temperature": (
        Case(options={"system": "You are a helpful assistant.", "temperature": 0.2}),
        lambda both: [message["role"] for message in both.body["messages"]] == ["system", "user"],
    ),
    "several images": (
        Case(sizes=((640, 480), (300, 400), (512, 512))),
        lambda both: len(details(both)) == 3 and "640x480" in both.reply.caption and "512x512" in both.reply.caption,
    ),
    "cut off by max_tokens": (
        Case(options={"max_tokens": 7}),
        lambda both: (both.reply.finish_reason, both.reply.usage.completion_tokens) == ("length", 7),
    ),
    "max_completion_tokens": (
        Case("o4-mini", emulator={"reasoning_tokens": 32}),
        lambda both: "max_completion_tokens" in both.body and both.reply.usage.reasoning_tokens == 32,
    ),
    "max_completion_tokens where both are known": (
        Case(form=lambda form: form.correct("max_tokens")),
        lambda both: "max_completion_tokens" in both.body and "max_tokens" not in both.body,
    ),
    "json_schema": (Case(options={"schema": SCHEMA}), in_form("json_schema")),
    "json_object": (
        Case(options={"schema": SCHEMA}, form=lambda form: form.correct("response_format")),
        lambda both: (
            both.body["response_format"] == {"type": "json_object"} and isinstance(json.loads(both.reply.caption), dict)
        ),
    ),
    "an older model": (Case("gpt-4-vision-preview"), lambda both: both.reply.finish_reason == "stop"),
    "limits in headers": (
        Case(emulator={"rpm": 600, "tpm": 100_000}),
        lambda both: both.headers["x-ratelimit-limit-requests"] == "600",
    ),
    "refused": (Case(emulator={"rates": {"refusal": 1.0}}), lambda both: bool(both.reply.refusal)),
    "without usage": (Case(emulator={"rates": {"missing_usage": 1.0}}), lambda both: both.reply.usage == Usage()),
}
"""What is asked, and by what one sees that it was."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ANSWERS)
async def test_both_ask_and_read_the_same(way: str, name: str) -> None:
    case, is_what_it_says = ANSWERS[name]
    both = await ask_both(WAYS[way], case)
    assert both.asked == [2], "not the same question"
    check_alike(both)
    assert is_what_it_says(both)


def check_alike(both: Both) -> None:
    completion, reply = both.completion, both.reply
    [choice] = completion.choices
    assert (choice.message.content or "") == reply.caption
    assert choice.message.refusal == reply.refusal
    assert _finish(choice) == reply.finish_reason
    assert completion.model == reply.model_returned
    assert _usage(completion) == reply.usage
    assert set(_filter(completion)) == set(reply.content_filter)
    # Two requests have two ids, which both find in the same place.
    assert len({both.headers["x-request-id"], reply.request_id}) == 2
    assert isinstance(both.response, Response)
    limits = {name.lower() for name in both.headers if name.lower().startswith("x-ratelimit-")}
    assert limits <= {name.lower() for name in both.response.headers}


ENHANCEMENTS = {
    "ocr and grounding": Case("gpt-4-vision-preview", options={"enhance": ("ocr", "grounding")}),
    "grounding alone": Case("gpt-4-vision-preview", options={"enhance": ("grounding",)}),
}


@pytest.mark.parametrize("name", ENHANCEMENTS)
async def test_enhancements_by_extra_body(name: str) -> None:
    both = await ask_both(Way(azure=True, api_version=ENHANCED), ENHANCEMENTS[name])
    assert both.asked == [2]
    check_alike(both)
    assert both.body["enhancements"]["grounding"] == {"enabled": True}
    assert both.body["dataSources"][0]["type"] == "AzureComputerVision"
    told: Any = both.completion.choices[0]
    spans = [span for line in told.enhancements["grounding"]["lines"] for span in line["spans"]]
    assert [span["text"] for span in spans] == [span.text for span in both.reply.grounding]
    assert [
        tuple((corner["x"], corner["y"]) for corner in span["polygon"]) for span in spans
    ] == [span.polygon for span in both.reply.grounding]  # fmt: skip
    assert all(both.reply.caption[s.offset : s.offset + s.length] == s.text for s in both.reply.grounding)


VIDEO = "https://account.blob.core.windows.net/videos/a.mp4"
ACCESS = {
    "vision": {"computerVisionBaseUrl", "computerVisionApiKey", "indexName", "videoUrls"},
    "vision-endpoint": {"endpoint", "computerVisionApiKey", "indexName", "videoUrls"},
    "ai-services": {"indexName", "videoUrls"},
    "managed-identity": {"indexName", "documentAuthenticationKind"},
}


@pytest.mark.parametrize("access", ACCESS)
async def test_a_video_of_an_index_by_extra_body(access: str) -> None:
    options = {"video_index": INDEX, "video_access": access}
    case = Case("gpt-4-vision-preview", options=options, video=f"{VIDEO}?sv=2024&sig=abc")
    both = await ask_both(Way(azure=True, api_version=ENHANCED), case)
    assert both.asked == [2]
    check_alike(both)
    assert both.body["enhancements"] == {"video": {"enabled": True}}
    assert both.body["dataSources"][0]["parameters"].keys() == ACCESS[access]
    assert (both.reply.usage.prompt_tokens or 0) > 20 * 85


def _finish(choice: Any) -> str | None:
    """The package knows `finish_details` by its name alone."""
    reason = choice.finish_reason or (choice.model_extra.get("finish_details") or {}).get("type")
    return "length" if reason == "max_tokens" else reason


def _usage(completion: Any) -> Usage:
    usage = completion.usage
    if usage is None:
        return Usage()
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens_details.reasoning_tokens,
    )


def _filter(completion: Any) -> Any:
    prompts = (completion.model_extra or {}).get("prompt_filter_results", [])
    choices = [choice.model_extra.get("content_filter_results", {}) for choice in completion.choices]
    for where, results in (("prompt", [p["content_filter_results"] for p in prompts]), ("completion", choices)):
        for result in results:
            for category, verdict in result.items():
                yield FilterResult(category, verdict.get("severity"), verdict["filtered"], where)  # type: ignore[arg-type]
