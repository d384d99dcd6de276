"""A night that nobody watches: the summary file and the webhook, however it ends."""

import json
from pathlib import Path

import pytest

from pipeline.emulator.options import EmulatorOptions
from tests.api.test_webhook import SECRET, listening
from tests.helpers.command import nightcap
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("source", "key", "code", "stopped"),
    [
        ("photos", "right-key", 0, None), ("photos", "wrong-key", 3, "trouble"), ("nowhere", "right-key", 2, "trouble"),
        ("twice.txt", "right-key", 2, "trouble"),
    ],
)  # fmt: skip
async def test_how_a_night_ended_is_told(tmp_path: Path, source: str, key: str, code: int, stopped: str | None) -> None:
    write_jpegs(tmp_path / "photos", 2)
    (tmp_path / "twice.txt").write_text("photos/0000.jpg\nphotos/0000.jpg\n")
    last = tmp_path / "last.json"
    job = tmp_path / "job.toml"
    job.write_text(
        f"out = 'out'\n[source]\npaths = ['{source}']\n[model]\nname = 'gpt-4o'\n"
        "[notify]\nsummary_file = 'last.json'\nwebhook_variable = 'HOOK'\n"
    )
    async with listening(200) as (url, told), emulate(EmulatorOptions(api_key="right-key")) as emulator:
        environ = {"HOOK": url, "OPENAI_API_KEY": key}
        ended = await nightcap("run", job, "--base-url", emulator.base_url, env=environ)
    summary = json.loads(last.read_text())
    assert (ended.code, summary["exit_code"], summary["stopped"]) == (code, code, stopped), ended.err
    for run in (tmp_path / "out").glob("_nightcap/runs/*.json"):
        assert json.loads(run.read_text())["exit_code"] == code
    assert [document.pop("text") for document in told]
    assert told == [summary]
    assert SECRET not in ended.err + ended.out + last.read_text()
