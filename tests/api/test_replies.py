import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipeline.api.reading.replies import read_response, read_usage
from pipeline.items import Failure, FilterResult, Grounding, Reply, Usage

CAPTION = "Two dogs run along a beach. The smaller dog carries a stick."


def read(document: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply | Failure:
    return read_response(status, CIMultiDict(headers or {}), json.dumps(document).encode())


def reply(document: object) -> Reply:
    outcome = read(document)
    assert isinstance(outcome, Reply)
    return outcome


def completion(content: object = CAPTION, finish_reason: object = "stop", **more: object) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": content}, **more}
    usage = {"prompt_tokens": 1156, "completion_tokens": 80, "total_tokens": 1236}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o", "choices": [choice], "usage": usage}


def test_a_plain_completion() -> None:
    outcome = read(completion(f" {CAPTION}\n"), headers={"X-Request-Id": "req_1"})
    assert outcome == Reply(
        caption=CAPTION,
        usage=Usage(1156, 80, 1236),
        finish_reason="stop",
        model_returned="gpt-4o",
        request_id="req_1",
    )


def test_azure_with_filter_results() -> None:
    safe = {"filtered": False, "severity": "safe"}
    document = completion(content_filter_results={"hate": safe}) | {
        "prompt_filter_results": [
            {
                "prompt_index": 0,
                "content_filter_results": {"hate": safe, "jailbreak": {"filtered": False, "detected": False}},
            }
        ]
    }
    outcome = read(document, headers={"apim-request-id": "apim-1"})
    assert isinstance(outcome, Reply)
    assert outcome.request_id == "apim-1"
    assert outcome.content_filter == (
        FilterResult("hate", "safe", False, "prompt"),
        FilterResult("jailbreak", None, False, "prompt"),
        FilterResult("hate", "safe", False, "completion"),
    )


@pytest.mark.parametrize(
    ("choice", "finish_reason"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "tool_calls"}, "tool_calls"),
        ({"finish_details": {"type": "stop", "stop": "<|fim_suffix|>"}}, "stop"),
        ({"finish_details": {"type": "max_tokens"}}, "length"),
        ({"finish_details": "length"}, "length"),
        ({"finish_reason": {"type": "stop", "stop": "<|fim_suffix|>"}}, "stop"),
        ({"finish_reason": {"type": "max_tokens"}}, "length"),
        ({"finish_reason": None, "finish_details": {"type": "stop"}}, "stop"),
        ({"finish_reason": "STOP"}, "stop"),
        ({"finish_reason": {"type": []}}, None),
        ({"finish_reason": 7.5}, None),
        ({}, None),
    ],
)
def test_finish_reasons_old_and_new(choice: dict[str, Any], finish_reason: str | None) -> None:
    assert reply({"choices": [{"message": {"content": "A dog."}, **choice}]}).finish_reason == finish_reason


def test_an_answer_that_the_filter_withheld_is_paid_for() -> None:
    verdict = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": True, "severity": "medium"}}
    outcome = read(completion("", "content_filter", content_filter_results=verdict))
    assert isinstance(outcome, Failure)
    assert (outcome.status, outcome.reason, outcome.finish_reason) == (
        "filtered",
        "filtered:violence",
        "content_filter",
    )
    assert outcome.usage == Usage(1156, 80, 1236)
    assert outcome.model_returned == "gpt-4o"
    older = read({"choices": [{"finish_details": {"type": "content_filter"}, "message": {}}]})
    assert isinstance(older, Failure)
    assert older.reason == "filtered:completion"


def test_a_refusal() -> None:
    outcome = reply(completion() | {"choices": [{"message": {"content": None, "refusal": "I cannot help."}}]})
    assert (outcome.caption, outcome.refusal) == ("", "I cannot help.")


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        ("A dog.", "A dog."),
        (None, ""),
        ("", ""),
        (3, ""),
        ([{"type": "text", "text": "A "}, {"type": "text", "text": "dog."}], "A dog."),
        (
            [
                {"type": "thinking", "thinking": [{"text": "hm"}]},
                {"type": "text", "text": "A dog."},
                "odd",
                {"text": 3},
            ],
            "A dog.",
        ),
        ({"text": "A dog."}, ""),
        ("A dog \ud83d", "A dog \ufffd"),
    ],
)
def test_content_of_every_form(content: object, caption: str) -> None:
    assert reply(completion(content)).caption == caption


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ("many", Usage()),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Usage(0, 0, 0)),
        ({"prompt_tokens": None, "completion_tokens": 5}, Usage(completion_tokens=5)),
        ({"prompt_tokens": -1, "completion_tokens": 2**31, "total_tokens": 10**40}, Usage()),
        ({"prompt_tokens": 2**31 - 1, "completion_tokens": True, "total_tokens": "9"}, Usage(2**31 - 1)),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf"), "total_tokens": 1.5}, Usage()),
        (
            {
                "prompt_tokens": 1200,
                "completion_tokens": 300,
                "total_tokens": 1500,
                "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 256, "accepted_prediction_tokens": 0},
            },
            Usage(1200, 300, 1500, 1024, 256),
        ),
        ({"prompt_tokens_details": None, "completion_tokens_details": [1]}, Usage()),
    ],
)
def test_usage_is_what_the_server_counted_and_never_zero_for_unknown(usage: object, expected: Usage) -> None:
    assert read_usage(usage) == expected
    assert reply(completion() | {"usage": usage}).usage == expected


def grounded(lines: object, content: str = CAPTION) -> Reply:
    return reply(completion(content, enhancements={"grounding": {"lines": lines, "status": "Success"}}))


POLYGON = [{"x": 0.1, "y": 0.4}, {"x": 0.8, "y": 0.4}, {"x": 0.8, "y": 0.6}, {"x": 0.1, "y": 0.6}]
CORNERS = ((0.1, 0.4), (0.8, 0.4), (0.8, 0.6), (0.1, 0.6))


def test_the_grounding_reply_of_the_guide() -> None:
    """GPT-4 Turbo with Vision how-to (2024-02): finish_details, enhancements, no filter results."""
    span = {"text": "the smaller dog", "length": 15, "offset": 28, "polygon": POLYGON}
    document = completion(
        enhancements={"grounding": {"lines": [{"text": CAPTION, "spans": [span]}], "status": "Success"}}
    )
    choice = document["choices"][0]
    del choice["finish_reason"]
    choice["finish_details"] = {"type": "stop", "stop": "<|fim_suffix|>"}
    outcome = reply(document)
    assert outcome.finish_reason == "stop"
    assert outcome.grounding == (Grounding("the smaller dog", 28, 15, CORNERS),)
    assert outcome.caption[28 : 28 + 15].lower() == "the smaller dog"


def test_offsets_count_within_the_caption_whatever_line_they_were_given_in() -> None:
    content = "\n  A red car.\nA dog \U0001f415 and a red car.\n"
    lines = [
        {"text": "A red car.", "spans": [{"text": "red car", "offset": 2, "length": 7, "polygon": POLYGON}]},
        {
            "text": "A dog \U0001f415 and a red car.",
            "spans": [{"text": "red car", "offset": 14, "length": 7, "polygon": []}],
        },
    ]
    outcome = grounded(lines, content)
    assert [outcome.caption[g.offset : g.offset + g.length] for g in outcome.grounding] == ["red car", "red car"]
    assert [g.offset for g in outcome.grounding] == [2, 25]


@pytest.mark.parametrize(
    "lines",
    [
        None,
        5,
        ["odd"],
        [{"text": CAPTION}],
        [{"text": CAPTION, "spans": 5}],
        [{"text": CAPTION, "spans": ["odd", {}]}],
        [{"text": CAPTION, "spans": [{"text": "x", "offset": -1, "length": 1, "polygon": []}]}],
        [{"text": CAPTION, "spans": [{"text": "x", "offset": 59, "length": 10, "polygon": []}]}],
        [{"text": CAPTION, "spans": [{"text": "x", "offset": 0, "length": 10**30, "polygon": []}]}],
        [{"text": CAPTION, "spans": [{"text": "x", "offset": 0, "length": 1, "polygon": [{"x": 10**400, "y": 0}]}]}],
        [
            {
                "text": CAPTION,
                "spans": [{"text": "x", "offset": 0, "length": 1, "polygon": [{"x": float("nan"), "y": 0}]}],
            }
        ],
        [{"text": CAPTION, "spans": [{"text": "x", "offset": 0, "length": 1, "polygon": [{"x": "0.5"}]}]}],
    ],
)
def test_grounding_that_makes_no_sense_is_left_out(lines: object) -> None:
    assert grounded(lines).grounding == ()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not a JSON object"),
        (b'{"choices": [{"mess', "not a JSON object"),
        (b"<html></html>", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe\x00", "not a JSON object"),
        (b"[" * 200_000, "not a JSON object"),
        (b'{"a":' * 200_000, "not a JSON object"),
        (b"{}", "without any choice"),
        (b'{"choices": []}', "without any choice"),
        (b'{"choices": {"0": {}}}', "without any choice"),
        (b'{"choices": ["text"]}', "without any choice"),
    ],
)
def test_a_200_without_an_answer_is_a_fault_of_the_server(body: bytes, message: str) -> None:
    outcome = read_response(200, {}, body)
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.http_status) == ("server_error", 200)
    assert message in outcome.message


def test_an_answer_without_choices_may_still_be_paid_for() -> None:
    outcome = read({"choices": [], "model": "gpt-4o", "usage": {"total_tokens": 9}})
    assert (outcome.usage, outcome.model_returned) == (Usage(total_tokens=9), "gpt-4o")


def test_an_error_inside_a_200_keeps_what_the_headers_say() -> None:
    outcome = read({"error": {"code": 429, "message": "Upstream is busy"}}, headers={"Retry-After": "3"})
    assert isinstance(outcome, Failure)
    assert (outcome.reason, outcome.retry_after, outcome.http_status) == ("rate_limited", 3, 200)


def test_any_success_status_may_carry_the_answer() -> None:
    assert isinstance(read(completion(), status=201), Reply)


def test_a_byte_order_mark_does_no_harm() -> None:
    assert isinstance(read_response(200, {}, b"\xef\xbb\xbf" + json.dumps(completion()).encode()), Reply)


def test_a_request_id_that_is_no_text_does_no_harm() -> None:
    outcome = read(completion(), headers={"x-request-id": "caf\udce9"})
    assert outcome.request_id == "caf\ufffd"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "choices", "message", "content", "finish_reason", "finish_details", "type", "text", "enhancements", "grounding",
    "lines", "spans", "offset", "length", "polygon", "x", "y", "usage", "prompt_tokens", "prompt_tokens_details",
    "cached_tokens", "model", "refusal", "error", "code", "content_filter_results", "prompt_filter_results", "hate",
    "filtered", "severity",
]  # fmt: skip
SHAPED = st.recursive(
    JSON | st.sampled_from(["stop", "content_filter", True, 0, 1, 10**400]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=30,
)


@given(
    st.integers(100, 599), SHAPED | st.fixed_dictionaries({"choices": st.lists(SHAPED, max_size=1), "usage": SHAPED})
)
def test_no_document_raises_and_every_text_can_be_written(status: int, document: object) -> None:
    repr(read(document, status)).encode()


@given(st.integers(100, 599), st.binary())
def test_no_bytes_raise(status: int, body: bytes) -> None:
    repr(read_response(status, {}, body)).encode()
