from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.api.attempt import Attempt, Target
from pipeline.api.limits.limiter import LimitUse
from pipeline.engine.metrics.run_metrics import RunMetrics
from pipeline.engine.self_check import Residual
from pipeline.engine.stats import Ending, RunStats, Summary
from pipeline.items import Failure, Reply, Usage
from pipeline.report.summary import render_summary


def stats_of(**changes: object) -> RunStats:
    stats = RunStats(listed=10, listing_done=True, prompt_tokens=7650, completion_tokens=400)
    stats.statuses.update(captioned=10)
    stats.cost_usd = Decimal("0.0231")
    for name, value in changes.items():
        setattr(stats, name, value)
    return stats


def rendered(stats: RunStats, **changes: object) -> str:
    summary = Summary("run-1", "captions", "openai:gpt-4o", 2.0, stats, input_usd=Decimal("0.0000025"))
    return render_summary(replace(summary, **changes))  # type: ignore[arg-type]


def residuals(**counts: Residual) -> RunStats:
    return stats_of(residuals={("gpt-4o", detail): residual for detail, residual in counts.items()})


def test_what_was_done_what_it_cost_and_where_it_is() -> None:
    text = rendered(stats_of(original_bytes=30_000_000, sent_bytes=1_500_000))
    first, *rest = text.splitlines()
    assert first == "Done: 10 of 10 images captioned by openai:gpt-4o in 2.0 s, 5.0 images/s."
    assert [" ".join(line.split()) for line in rest] == [
        "prompt tokens 7,650 not predicted: the model's rule or the server's usage is unknown",
        "answer tokens 400",
        "cost $0.0231",
        "megabytes sent 1.5 of 30.0 read",
        "The result is in captions (Parquet).",
    ]


def test_billed_as_predicted() -> None:
    assert "7,650   exactly as predicted" in rendered(residuals(high=Residual(10, 0, 0)))


def test_one_odd_image_is_no_new_rule() -> None:
    text = rendered(residuals(high=Residual(100, -7, -7)))
    assert "-7 against the prediction, at most -7 an image" in text
    assert "rule" not in text


@pytest.mark.parametrize(
    ("residual", "said"),
    [
        (Residual(10, 1320, 170), "was billed 132.0 tokens an image more than predicted, +$0.0033 in this run: "),
        (Residual(10, -1320, -170), "was billed 132.0 tokens an image less than predicted, -$0.0033 in this run: "),
    ],
)
def test_a_systematic_difference_is_a_sentence_with_dollars(residual: Residual, said: str) -> None:
    text = rendered(residuals(high=residual))
    assert f"gpt-4o at detail high {said}the provider may have changed its rule" in text
    assert "nightcap models gpt-4o" in text


def test_a_systematic_difference_of_unknown_price() -> None:
    text = rendered(residuals(high=Residual(10, 1320, 170)), input_usd=None)
    assert "132.0 tokens an image more than predicted: the provider" in text


def test_the_detail_that_differs_is_named() -> None:
    text = rendered(residuals(high=Residual(10, 0, 0), low=Residual(10, 20, 2)))
    assert "gpt-4o at detail low" in text
    assert "at detail high" not in text


def test_troubles_are_counted_with_an_example() -> None:
    stats = stats_of(examples={"truncated_file": "a/b.jpg"})
    stats.statuses.update(failed=2)
    stats.reasons.update(truncated_file=2)
    stats.retries["rate_limited"] += 1
    text = rendered(stats)
    assert "Done: 10 of 12 images" in text
    assert "truncated_file          2   e.g. a/b.jpg" in text
    assert "retries                 1   rate_limited 1" in text
    assert text.endswith("`nightcap status captions` shows the images without a caption.")


@pytest.mark.parametrize(
    ("unpriced", "cost", "said"),
    [(0, "0.5", "$0.5000"), (10, "0", "unknown"), (4, "0.5", "$0.5000 and 4 images of unknown price")],
)
def test_an_unknown_price_is_said(unpriced: int, cost: str, said: str) -> None:
    text = rendered(stats_of(unpriced=unpriced, cost_usd=Decimal(cost)))
    assert said in next(line for line in text.splitlines() if line.startswith("  cost"))


@pytest.mark.parametrize(
    ("stopped", "said"),
    [("interrupted", "Interrupted: "), ("limit", "Stopped at the limit: "), ("trouble", "Stopped by trouble: ")],
)
def test_a_run_that_was_stopped_says_how_to_go_on(stopped: Ending, said: str) -> None:
    text = rendered(stats_of(), stopped=stopped)
    assert text.startswith(said)
    assert "Run the same command again" in text


def test_nothing_to_do() -> None:
    assert "nothing to ask" in rendered(RunStats(listed=3, skipped=3, listing_done=True))
    assert "holds no image" in rendered(RunStats(listing_done=True))


def test_what_is_left_and_what_it_would_cost() -> None:
    stats = stats_of(listed=110, not_asked=90, cost_usd=Decimal("0.5"))
    assert "left                  100   about $5.00 at this run's mean" in rendered(stats, stopped="deadline")
    stats.listing_done = False
    told = "at least; the listing had not ended, about $5.00 at this run's mean"
    assert told in rendered(stats, stopped="limit")
    stats.unpriced = 1
    assert "about $" not in rendered(stats, stopped="budget")


def test_a_run_given_up_before_any_answer_does_not_say_that_there_was_nothing_to_ask() -> None:
    text = rendered(RunStats(listed=3), stopped="interrupted")
    assert "Interrupted: no image was answered." in text
    assert "nothing to ask" not in text


def test_answers_that_the_disk_refused_are_told() -> None:
    text = rendered(stats_of(unrecorded=3, unrecorded_usd=Decimal("0.003")), stopped="trouble")
    assert "not recorded            3   answers for $0.0030" in text


def test_how_well_the_limits_were_used() -> None:
    metrics = RunMetrics()
    target = Target("here", "openai", "gpt-4o", "127.0.0.1", 80)
    for milliseconds in range(1, 101):
        metrics.add_attempt(Attempt(target, Reply("A cat.", Usage()), milliseconds / 10, 0.0, 100, retried=False))
    metrics.add_attempt(Attempt(target, Failure("rate_limited", "Slow down."), 0.1, 0.0, 100, retried=True))
    metrics.set_limits({"here": LimitUse(600, 90_000, 8, 0.984, 0.4)})
    text = rendered(stats_of(), metrics=metrics)
    assert "requests              101   rpm 98% used, tpm 40% used, latency p50 5.1 s and p99 10.0 s, 1 refused" in text
    assert "requests" not in rendered(stats_of()), "nothing went over a network"
    metrics.endpoints["west"] = metrics.endpoints["here"]
    assert "  west                  101   rpm 98% used" in rendered(stats_of(), metrics=metrics), "each of a pool"
