"""`nightcap emulate` and `nightcap run --rehearse` as a user meets them."""

import json
import signal
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from pipeline.cli import nightcap
from tests.helpers.command import nightcap as run_nightcap
from tests.helpers.command import start_nightcap
from tests.helpers.folders import write_jpegs


def invoke(*words: str) -> str:
    return CliRunner().invoke(nightcap, list(words)).output


def test_the_faults_are_listed() -> None:
    listed = invoke("emulate", "--faults")
    assert "rate_limit " in listed
    assert "429 with Retry-After" in listed
    assert "(each time the image is asked)" in listed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("emulate", "--rpm", "0"), "--rpm"),
        (("emulate", "--port", "70000"), "--port"),
        (("emulate", "--rate", "cut=often"), "cut=often"),
        (("emulate", "--deployment", "captions"), "captions=gpt-4o"),
        (("run", "photos", "-o", "out", "--speed", "3"), "--rehearse"),
        (("run", "photos", "-o", "out", "--dry-run", "--rehearse"), "two things"),
        (("run", "photos", "-o", "out", "--scenario", "s.toml"), "--rehearse"),
        (("run", "photos", "-o", "out", "--rehearse", "--keep-raw"), "change nothing in a rehearsal"),
        (("run", "photos", "-o", "out", "--rehearse", "--prune"), "change nothing in a rehearsal"),
        (("run", "photos", "-o", "out", "--rehearse", "--summary-file", "s.json"), "change nothing in a rehearsal"),
    ],
)
def test_what_is_wrong_is_told(words: tuple[str, ...], told: str) -> None:
    assert told in invoke(*words)


@pytest.mark.integration
async def test_it_says_where_it_listens_and_in_the_end_what_it_did(tmp_path: Path) -> None:
    scenario = tmp_path / "night.toml"
    scenario.write_text('[[endpoint]]\nname = "east"\nrpm = 5')
    command = await start_nightcap("emulate", "--port", "0", "--scenario", scenario)
    told = [await command.line() for _ in range(6)]
    address = told[0].split()[2].rstrip(";")
    assert told[3].split() == ["east", "--base-url", f"{address}/east/v1"]
    assert told[4].split() == ["east", f"AZURE_OPENAI_ENDPOINT={address}/east"]
    assert told[5].split() == [f"VISION_ENDPOINT={address}"]
    async with aiohttp.ClientSession() as session, session.get(f"{address}/stats") as response:
        text = await response.text()
    assert json.loads(text)["requests"] == 0
    assert text.endswith("}\n")
    command.signal(signal.SIGINT)
    ended = await command.ended()
    assert ended.code == 0
    assert ended.err.startswith("Answered 0 of 0 requests")
    assert "Traceback" not in ended.err


@pytest.mark.integration
async def test_a_rehearsal_prints_on_stdout_and_exits_as_the_night_would(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 6)
    words = (
        "run",
        tmp_path / "photos",
        "-o",
        tmp_path / "out",
        "--model",
        "openai:gpt-4o",
        "--rpm",
        "600",
        "--limit",
        "4",
    )
    ended = await run_nightcap(*words, "--rehearse", "--json")
    found = json.loads(ended.out)
    assert (found["images"], found["rehearsed"], found["stopped"]) == (4, 4, "limit")
    assert (ended.code, found["exit_code"]) == (4, 4)
    assert not (tmp_path / "out").exists()
