"""Counters and the summary they end as."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.api.attempt import Attempt, Target
from pipeline.engine.record import Asked, to_record
from pipeline.engine.stats import Ending, RunStats, Summary
from pipeline.items import Failure, Record, Unprepared, Usage
from tests.engine.making import Dollar, answer, context, image, reply, request

TARGET = Target("here", "openai", "gpt-4o", "127.0.0.1", 80)


def rows() -> list[Record]:
    """One of each kind."""
    filtered = Failure("filtered:hate", "Withheld.", "filtered", usage=Usage(270, 30, 300))
    outcomes = [
        Asked(request("1"), answer(reply(), price=Dollar())),
        Asked(request("2"), answer(reply(finish_reason="length"), price=Dollar())),
        Asked(request("3"), answer(reply("", refusal="No."), price=Dollar())),
        Asked(request("4"), answer(filtered, price=Dollar())),
        Asked(request("5"), answer(Failure("server_error", "It broke."), attempts=6)),
        Unprepared(image("6"), Failure("undecodable", "Broken.")),
        Unprepared(image("7"), Failure("undecodable", "Broken.")),
    ]
    return [to_record(outcome, context()) for outcome in outcomes]


def filled() -> RunStats:
    stats = RunStats(listed=10, skipped=3)
    for record in rows():
        stats.add_record(record)
    return stats


def summary(stats: RunStats, stopped: Ending | None = None) -> Summary:
    return Summary("run-1", "out", "openai:gpt-4o", 1.23456, stats, stopped, input_usd=Decimal("0.0000025"))


def test_every_row_is_counted_once() -> None:
    stats = filled()
    assert stats.statuses == {"captioned": 1, "truncated": 1, "refused": 1, "filtered": 1, "failed": 3}
    assert stats.reasons == {"truncated": 1, "refused": 1, "filtered:hate": 1, "server_error": 1, "undecodable": 2}
    assert (stats.recorded, stats.captioned, stats.todo) == (7, 1, 7)
    assert stats.examples["undecodable"] == "6", "the first of its reason"


def test_tokens_and_dollars_are_those_that_were_billed() -> None:
    stats = filled()
    assert (stats.prompt_tokens, stats.completion_tokens) == (4 * 270, 3 * 5 + 30)
    assert stats.cost_usd == 3 * 275 + 300
    assert stats.unpriced == 0, "what never got an answer has no price to be unknown"


def test_an_answer_without_a_price_is_counted_as_such() -> None:
    stats = RunStats()
    stats.add_record(replace(rows()[0], cost_usd=None))
    assert (stats.unpriced, stats.cost_usd) == (1, 0)


def test_retries_are_counted_by_reason_and_are_no_rows() -> None:
    stats = RunStats()
    for reason in ("rate_limited", "server_error", "rate_limited"):
        stats.add_attempt(Attempt(TARGET, Failure(reason, "Again."), 1.0, 0.0, 100, retried=True))
    stats.add_attempt(Attempt(TARGET, Failure("timeout", "Given up."), 1.0, 0.0, 100, retried=False))
    stats.add_attempt(Attempt(TARGET, reply(), 1.0, 0.0, 100, retried=False))
    assert stats.retries == {"rate_limited": 2, "server_error": 1}
    assert (stats.recorded, stats.reasons.total()) == (0, 0)


@pytest.mark.parametrize(
    ("stats", "stopped", "code"),
    [
        (RunStats(), None, 0),
        (RunStats(listed=5, skipped=5), None, 0),
        (RunStats(listed=5, skipped=5, skipped_without_caption=1), None, 1),
        (filled(), None, 1),
        (filled(), "trouble", 3),
        (RunStats(), "limit", 4),
        (filled(), "interrupted", 130),
        (filled(), "terminated", 143),
    ],
)
def test_exit_codes(stats: RunStats, stopped: Ending | None, code: int) -> None:
    assert summary(stats, stopped).exit_code == code


def test_all_captioned_is_0_and_one_without_caption_is_1() -> None:
    captioned, truncated, *_ = rows()
    stats = RunStats(listed=2)
    stats.add_record(captioned)
    assert summary(stats).exit_code == 0
    stats.add_record(truncated)
    assert summary(stats).exit_code == 1


def test_the_summary_is_plain_json_with_exact_money() -> None:
    written = json.loads(json.dumps(summary(filled()).to_dict()))
    assert written["cost_usd"] == "1125"
    assert (written["run_id"], written["exit_code"], written["seconds"]) == ("run-1", 1, 1.235)
    assert written["statuses"]["failed"] == 3
    assert written["residuals"][0]["images"] == 4
