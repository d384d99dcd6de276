"""From an outcome to its row: what counts as a caption, what it cost, and what is kept of an image without one."""

from dataclasses import asdict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.asking.judging import PLAIN_TEXT, judge
from pipeline.engine.record import Asked, to_record
from pipeline.items import Failure, FilterResult, Grounding, Probe, Reply, Unprepared, Usage
from tests.engine.making import NOON, Dollar, answer, context, image, reply, request

BILLED = Usage(prompt_tokens=270, completion_tokens=30, total_tokens=300)
FILTERED = Failure("filtered:violence", "Withheld.", "filtered", usage=BILLED, finish_reason="content_filter")


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [
        (reply(), "captioned", None),
        (reply(finish_reason=None), "captioned", None),
        (reply(finish_reason="length"), "truncated", "truncated"),
        (reply("", finish_reason="length"), "failed", "empty_reply"),
        (reply(""), "failed", "empty_reply"),
        (reply("", refusal="I can't help with that."), "refused", "refused"),
        (reply(refusal="I can't go on."), "captioned", None),
        (FILTERED, "filtered", "filtered:violence"),
        (Failure("server_error", "It broke."), "failed", "server_error"),
    ],
)
def test_what_counts_as_a_caption(outcome: Reply | Failure, status: str, reason: str | None) -> None:
    record = to_record(Asked(request(), answer(outcome)), context())
    assert (record.status, record.reason) == (status, reason)
    assert judge(outcome, PLAIN_TEXT).message == record.message
    assert (record.message is None) == (status == "captioned")
    assert (record.caption is not None) == (status in ("captioned", "truncated"))


def test_a_refusal_stands_in_message() -> None:
    record = to_record(Asked(request(), answer(reply("", refusal="I can't help with that."))), context())
    assert (record.caption, record.message) == (None, "I can't help with that.")


def test_an_answer_that_was_withheld_is_billed_all_the_same() -> None:
    record = to_record(Asked(request(), answer(FILTERED, price=Dollar())), context())
    assert (record.cost_usd, record.price_date) == (Decimal(300), NOON.date())
    assert (record.prompt_tokens, record.completion_tokens, record.finish_reason) == (270, 30, "content_filter")


@pytest.mark.parametrize(
    ("price", "usage"), [(None, BILLED), (Dollar(), Usage(prompt_tokens=270))], ids=["no price", "no usage"]
)
def test_an_unknown_cost_is_null_and_has_no_date(price: Dollar | None, usage: Usage) -> None:
    record = to_record(Asked(request(), answer(reply(usage=usage), price=price)), context())
    assert (record.cost_usd, record.price_date) == (None, None)
    assert record.prompt_tokens == 270


def test_an_asked_row_holds_what_was_sent_predicted_and_answered() -> None:
    found = reply(
        model_returned="gpt-4o-2024-08-06",
        request_id="req-1",
        content_filter=(FilterResult("hate", "safe", False, "prompt"),),
        grounding=(Grounding("cat", 2, 3, ((0.0, 0.0), (1.0, 1.0))),),
    )
    asked = request("b/c.jpg")
    row = asdict(to_record(Asked(asked, answer(found, attempts=3, price=Dollar())), context()))
    assert {name: value for name, value in row.items() if value is not None} == {
        "key": "b/c.jpg", "uri": "file:///b/c.jpg", "source_version": "v1", "content_hash": asked.content_hash,
        "width": 640, "height": 480, "format": "jpeg", "bytes": 2000,
        "status": "captioned", "caption": "A cat.",
        "provider": "openai", "model": "gpt-4o", "model_returned": "gpt-4o-2024-08-06", "mode": "live",
        "detail": "high", "sent_width": 512, "sent_height": 384, "sent_bytes": 1000, "sent_format": "jpeg",
        "predicted_prompt_tokens": 270, "predicted_image_tokens": 255,
        "prompt_tokens": 270, "completion_tokens": 5, "total_tokens": 275,
        "cost_usd": Decimal(275), "price_date": NOON.date(), "finish_reason": "stop",
        "content_filter": ({"category": "hate", "severity": "safe", "filtered": False, "where": "prompt"},),
        "grounding": ({"text": "cat", "offset": 2, "length": 3, "polygon": ((0.0, 0.0), (1.0, 1.0))},),
        "attempts": 3, "latency_ms": 900, "queue_ms": 7, "request_id": "req-1",
        "request_hash": "hash-1", "run_id": "run-1", "started_at": NOON, "finished_at": NOON,
    }  # fmt: skip


def test_an_unprepared_row_keeps_what_is_known() -> None:
    failure = Failure("truncated_file", "Cut off.")
    record = to_record(Unprepared(image(), failure, Probe("png", 3, 2), "blake3:11", 99), context())
    assert (record.status, record.reason, record.message) == ("failed", "truncated_file", "Cut off.")
    assert (record.format, record.width, record.height, record.content_hash) == ("png", 3, 2, "blake3:11")
    assert (record.bytes, record.attempts, record.cost_usd, record.caption) == (99, 0, None, None)
    unread = to_record(Unprepared(image(size=7), failure), context())
    assert (unread.bytes, unread.width, unread.content_hash) == (7, None, None), "the listing still knew its size"


replies = st.builds(
    Reply,
    caption=st.sampled_from(["", "A cat."]),
    usage=st.just(BILLED),
    finish_reason=st.sampled_from([None, "stop", "length", "content_filter", "tool_calls"]),
    refusal=st.sampled_from([None, "", "No."]),
)
failures = st.builds(
    Failure, reason=st.text(), message=st.text(), status=st.sampled_from(["failed", "filtered", "refused"])
)


@given(replies | failures)
def test_a_caption_is_nothing_but_a_caption(outcome: Reply | Failure) -> None:
    record = to_record(Asked(request(), answer(outcome)), context())
    assert record.caption in (None, "A cat.")
    assert (record.caption is None) == (record.status not in ("captioned", "truncated"))
    assert (record.reason is None) == (record.status == "captioned")
