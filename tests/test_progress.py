import logging
from decimal import Decimal

import pytest

from pipeline import progress
from pipeline.api.retrieval.values import Progress
from pipeline.engine.stats import RunStats
from pipeline.progress import describe, open_counter, open_ingestion, open_progress


def stats_of(**changes: object) -> RunStats:
    stats = RunStats(listed=100, skipped=20, listing_done=True, prompt_tokens=1_200_000, completion_tokens=34_000)
    stats.statuses.update(captioned=38, failed=2)
    stats.cost_usd = Decimal("3.456")
    for name, value in changes.items():
        setattr(stats, name, value)
    return stats


def test_tokens_dollars_and_troubles_in_a_few_words() -> None:
    stats = stats_of()
    stats.retries["rate_limited"] += 1
    assert describe(stats) == "1.2M tokens, $3.46, 2 without caption, 1 retried, 20 done before"
    assert describe(RunStats()) == ""
    assert "price unknown" in describe(stats_of(unpriced=3))


def test_quiet_means_nobody_watches() -> None:
    with open_progress(quiet=True) as observer:
        assert observer is None


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every line is due at once, and this is no terminal."""
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)
    caplog.set_level(logging.INFO, logger="nightcap")
    return caplog


def test_off_a_terminal_a_run_writes_lines(hurried: pytest.LogCaptureFixture) -> None:
    with open_progress(quiet=False) as observer:
        assert observer is not None
        observer(stats_of())
        observer(stats_of(listing_done=False))
    done, listing = hurried.messages
    assert done.startswith("40/80 images, ")
    assert done.endswith(" left")
    assert listing.startswith("40, 100 listed so far images, ")


def test_off_a_terminal_a_count_is_told_now_and_then(
    hurried: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_counter("images listed") as count:
        count(1000)
        monkeypatch.setattr(progress, "LOG_SECONDS", 3600.0)
        count(2000)
    assert hurried.messages == ["1000 images listed"]


def test_off_a_terminal_an_ingestion_tells_each_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="nightcap")
    with open_ingestion() as observer:
        for begun, done, failed in ((1, 0, 0), (3, 0, 0), (3, 0, 0), (3, 2, 1), (3, 2, 1), (3, 3, 1)):
            observer(Progress(3, begun, done, failed))
    assert caplog.messages == [
        "0 of 3 videos are done, 3 under way",
        "2 of 3 videos are done, 1 under way, 1 failed",
        "3 of 3 videos are done, 0 under way, 1 failed",
    ]


def test_on_a_terminal_an_ingestion_has_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with open_ingestion() as observer:
        observer(Progress(3, 3, 2, 1))
    assert "2/3" in (told := capsys.readouterr().err)
    assert "1 under way, 1 failed" in told


@pytest.mark.parametrize(("seconds", "text"), [(59.6, "1m00s"), (61, "1m01s"), (3660, "1h01m")])
def test_how_long_it_will_take(seconds: float, text: str) -> None:
    assert progress._hours_minutes(seconds) == text
