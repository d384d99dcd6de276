"""What is told about a run when nobody watches: whatever happens, and without the webhook's address."""

import json
import logging
from pathlib import Path

import pytest

from pipeline.engine.notify import Notifier, NotifyOptions
from pipeline.errors import UserError
from tests.api.test_webhook import SECRET, listening
from tests.helpers.clock import FakeClock

SUMMARY = {
    "out": "az://captions",
    "exit_code": 4,
    "statuses": {"captioned": 1200, "failed": 34},
    "cost_usd": "1.25",
    "message": "The deadline is reached.",
}
TEXT = "Nightcap az://captions: exit 4, 1,200 of 1,234 images captioned, $1.25, The deadline is reached."


async def test_file_and_webhook_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "summary.json"
    path.write_text("of yesterday")
    async with listening(200) as (url, told):
        options = NotifyOptions(str(path), "HOOK")
        notifier = Notifier(options, {"HOOK": url}, FakeClock())
        assert not path.exists(), "yesterday's summary could be taken for today's"
        await notifier.tell(SUMMARY)
    assert json.loads(path.read_text()) == SUMMARY
    assert told == [{"text": TEXT, **SUMMARY}]
    assert list(tmp_path.iterdir()) == [path]
    assert not caplog.records


async def test_a_webhook_that_refuses_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with listening(403) as (url, _):
        with caplog.at_level(logging.WARNING):
            await Notifier(NotifyOptions(None, "HOOK"), {"HOOK": url}, FakeClock()).tell(SUMMARY)
    assert caplog.messages == ["The webhook was not told: 127.0.0.1 answered 403."]
    assert SECRET not in caplog.text


async def test_a_file_that_cannot_be_written_any_more_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(NotifyOptions(str(tmp_path / "x")), {}, FakeClock())
    (tmp_path / "x").mkdir()
    await notifier.tell(SUMMARY)
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (NotifyOptions(webhook_variable="HOOK"), "variable HOOK, which .notify. names for a webhook, is not set"),
        (NotifyOptions(summary_file="/nowhere/at/all.json"), "summary file /nowhere/at/all.json cannot be written"),
    ],
)
def test_whoever_could_not_be_told_stops_the_run_at_once(options: NotifyOptions, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Notifier(options, {}, FakeClock())
