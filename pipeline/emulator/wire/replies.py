"""Answers and headers in the manner of their provider. Pure."""

import json
import math
import secrets
from collections.abc import Iterable, Mapping

from pipeline.emulator.answer import Answer
from pipeline.emulator.limits import LimitKind, Provider, Standing
from pipeline.emulator.wire.errors import filter_results, go_duration

JsonObject = dict[str, object]


def completion(
    answer: Answer, *, provider: Provider, model: str, created: int, fault: str | None, old: bool, grounding: bool
) -> bytes:
    """The body of an answered request.

    `fault`: one of those that spoil an answer, else None. `old`: `finish_details` as gpt-4-vision-preview sent it.
    `grounding`: with Azure's object grounding of the first words.
    """
    message: JsonObject = {"role": "assistant", "content": answer.text, "refusal": None}
    if fault == "refusal":
        message |= {"content": None, "refusal": answer.text}
    if fault == "empty_answer":
        message["content"] = ""
    choice: JsonObject = {"index": 0, "message": message, "logprobs": None}
    choice |= _finish(answer, old)
    if grounding:
        choice["enhancements"] = _grounding(answer.text)
    if provider == "azure":
        choice["content_filter_results"] = filter_results(blocked=answer.finish == "content_filter")
    body: JsonObject = {
        "id": f"chatcmpl-{secrets.token_hex(14)}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [] if fault == "empty_choices" else [choice],
        "system_fingerprint": "fp_emulator",
    }
    if fault != "missing_usage":
        body["usage"] = _usage(answer)
    if provider == "azure":
        verdict = filter_results(blocked=False) | {"jailbreak": {"filtered": False, "detected": False}}
        body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": verdict}]
    return json.dumps(body, separators=(",", ":")).encode()


def model_list(names: Iterable[str], created: int) -> bytes:
    """The body of `GET .../models`."""
    data = [{"id": name, "object": "model", "created": created, "owned_by": "emulator"} for name in names]
    return json.dumps({"object": "list", "data": data}).encode()


def headers(
    provider: Provider, standings: Mapping[LimitKind, Standing], *, processing_seconds: float, retry_after: float | None
) -> dict[str, str]:
    """Of any answer of the service itself, errors included."""
    if provider == "azure":
        common = {
            "apim-request-id": secrets.token_hex(16),
            "x-request-id": secrets.token_hex(16),
            "x-ms-region": "Emulator",
            "x-ms-rai-invoked": "true",
            "azureml-model-session": "emulator-1",
        }
    else:
        common = {
            "x-request-id": f"req_{secrets.token_hex(16)}",
            "openai-organization": "org-emulator",
            "openai-version": "2020-10-01",
            "openai-processing-ms": str(round(processing_seconds * 1000)),
        }
    for kind, standing in standings.items():
        common[f"x-ratelimit-limit-{kind}"] = str(standing.limit)
        common[f"x-ratelimit-remaining-{kind}"] = str(standing.remaining)
        # Azure writes whole seconds.
        azure = provider == "azure"
        reset = str(math.ceil(standing.reset_seconds)) if azure else go_duration(standing.reset_seconds)
        common[f"x-ratelimit-reset-{kind}"] = reset
    if retry_after is not None:
        common["retry-after"] = str(math.ceil(retry_after))
        common["retry-after-ms"] = str(math.ceil(retry_after * 1000))
    return common


def _finish(answer: Answer, old: bool) -> JsonObject:
    if not old:
        return {"finish_reason": answer.finish}
    if answer.finish == "length":
        return {"finish_details": {"type": "max_tokens"}}
    return {"finish_details": {"type": answer.finish, "stop": "<|fim_suffix|>"}}


def _usage(answer: Answer) -> JsonObject:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _grounding(text: str) -> JsonObject:
    """Of the first words that name something, by code points into the text."""
    found = next((words for words in ("picture", "video") if words in text), text.split(",")[0])
    corners = [{"x": x, "y": y} for x, y in ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))]
    span = {"text": found, "offset": text.find(found), "length": len(found), "polygon": corners}
    return {"grounding": {"lines": [{"text": text, "spans": [span]}], "status": "Success"}}
