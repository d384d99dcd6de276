"""The main job from the shell: images in, rows out, against the emulator over real HTTP."""

import asyncio
import json
import signal
from pathlib import Path

import duckdb
import pandas
import pyarrow.parquet as pq
import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from pipeline.store.schema import SCHEMA
from tests.helpers.command import nightcap, start_nightcap
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"
SAMPLES = [p for p in SAMPLE_DATA.iterdir() if p.suffix != ".md"]


def rows(out: Path, columns: str = "key") -> list[tuple[object, ...]]:
    return duckdb.sql(f"select {columns} from '{out}/*.parquet' order by key").fetchall()


async def test_one_row_for_each_file_and_nothing_asked_twice(emulator: Running, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ("run", SAMPLE_DATA, "-o", out, "--model", "openai:gpt-4o", "--base-url", emulator.base_url)
    first = await nightcap(*command)
    assert first.code == 1, first.err

    frame = pandas.read_parquet(out)
    assert sorted(frame.key) == sorted(p.name for p in SAMPLES)
    assert list(frame.columns) == SCHEMA.names
    for part in out.glob("part-*.parquet"):
        assert pq.read_schema(part).equals(SCHEMA)

    broken = frame[frame.status == "failed"]
    assert list(broken.key) == ["rocket-truncated.jpg"]
    assert list(broken.reason) == ["truncated_file"]
    assert broken.caption.isna().all()
    captioned = frame[frame.status == "captioned"]
    assert captioned.caption.str.len().min() > 10
    assert (captioned.prompt_tokens == captioned.predicted_prompt_tokens).all()
    assert (captioned.cost_usd > 0).all()
    assert (captioned.provider == "openai").all()
    assert "truncated_file" in first.err

    asked = emulator.stats.requests
    assert asked == len(captioned)
    second = await nightcap(*command)
    assert emulator.stats.requests == asked, "a second run must send nothing"
    assert second.code == 1
    assert len(pandas.read_parquet(out)) == len(SAMPLES)


async def test_json_summary_on_stdout_and_nothing_else(emulator: Running, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 3)
    ended = await nightcap(
        *("run", tmp_path / "photos", "-o", tmp_path / "out", "--json"),
        *("--model", "openai:gpt-4o", "--base-url", emulator.base_url),
    )
    assert ended.code == 0, ended.err
    summary = json.loads(ended.out)
    assert summary["statuses"] == {"captioned": 3}
    assert summary["prompt_tokens"] == summary["predicted_prompt_tokens"] > 0
    [run_file] = (tmp_path / "out" / "_nightcap" / "runs").iterdir()
    assert json.loads(run_file.read_text())["statuses"] == {"captioned": 3}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_interrupted_once_records_what_was_sent(number: signal.Signals, code: int, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 60)
    out = tmp_path / "out"
    async with emulate(EmulatorOptions(latency=0.25)) as slow:
        command = ("run", tmp_path / "photos", "-o", out, "--model", "openai:gpt-4o", "--base-url", slow.base_url)
        running = await start_nightcap(*command, "--concurrency", "4")
        while slow.stats.answered < 8:
            await asyncio.sleep(0.01)
        running.signal(number)
        ended = await running.ended()
        assert ended.code == code, ended.err
        assert "paid for" in ended.err
        assert slow.stats.abandoned == 0
        assert len(rows(out)) == slow.stats.answered < 60
        again = await nightcap(*command)
        assert again.code == 0, again.err
        assert len(rows(out)) == 60
        assert slow.stats.answered == slow.stats.requests == 60, "nothing is sent twice"


async def test_interrupted_twice_stops_at_once_and_keeps_what_was_received(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 30)
    out = tmp_path / "out"
    async with emulate(EmulatorOptions(scenario=())) as quick:
        await nightcap(
            "run", tmp_path / "photos", "-o", out, "--base-url", quick.base_url, "-m", "gpt-4o", "--limit", "5"
        )
    async with emulate(EmulatorOptions(latency=60)) as stuck:
        command = ("run", tmp_path / "photos", "-o", out, "--base-url", stuck.base_url, "-m", "gpt-4o")
        running = await start_nightcap(*command, "--concurrency", "4")
        while stuck.stats.in_flight < 4:
            await asyncio.sleep(0.01)
        running.signal(signal.SIGINT)
        await asyncio.sleep(0.3)
        running.signal(signal.SIGINT)
        ended = await asyncio.wait_for(running.ended(), 10)
    assert ended.code == 130, ended.err
    assert "Traceback" not in ended.err
    assert len(rows(out)) == 5


async def test_limit_stops_cleanly_with_more_to_do(emulator: Running, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 7)
    command = ("run", tmp_path / "photos", "-o", tmp_path / "out", "-m", "gpt-4o", "--base-url", emulator.base_url)
    for expected_code, expected_rows in ((4, 3), (4, 6), (0, 7), (0, 7)):
        ended = await nightcap(*command, "--limit", "3")
        assert (ended.code, len(rows(tmp_path / "out"))) == (expected_code, expected_rows), ended.err
    assert emulator.stats.requests == 7


async def test_a_limit_of_none_and_a_temperature_of_zero_are_meant(emulator: Running, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 2)
    command = ("run", tmp_path / "photos", "-o", tmp_path / "out", "-m", "gpt-4o", "--base-url", emulator.base_url)
    assert (await nightcap(*command, "--limit", "0")).code == 4
    assert emulator.stats.requests == 0
    assert (await nightcap(*command, "--temperature", "0")).code == 0
    assert json.loads((tmp_path / "out/_nightcap/job.json").read_text())["model"]["temperature"] == 0


async def test_another_prompt_on_the_same_output_needs_replace(emulator: Running, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 4)
    out = tmp_path / "out"
    command = ("run", tmp_path / "photos", "-o", out, "-m", "gpt-4o", "--base-url", emulator.base_url)
    assert (await nightcap(*command)).code == 0
    refused = await nightcap(*command, "--prompt", "What is it?")
    assert refused.code == 2
    assert "4" in refused.err
    assert "--replace" in refused.err
    assert emulator.stats.requests == 4
    replaced = await nightcap(*command, "--prompt", "What is it?", "--replace")
    assert replaced.code == 0, replaced.err
    assert emulator.stats.requests == 8
    assert len({row[0] for row in rows(out, "request_hash")}) == 1
    assert len(rows(out)) == 4


async def test_a_changed_file_is_asked_again(emulator: Running, tmp_path: Path) -> None:
    paths = write_jpegs(tmp_path / "photos", 4)
    out = tmp_path / "out"
    command = ("run", tmp_path / "photos", "-o", out, "-m", "gpt-4o", "--base-url", emulator.base_url)
    await nightcap(*command)
    before = dict(rows(out, "key, content_hash"))
    write_jpegs(tmp_path / "else", 5)
    paths[1].write_bytes((tmp_path / "else" / "0004.jpg").read_bytes() + b"\xff\xd9")
    ended = await nightcap(*command)
    assert ended.code == 0, ended.err
    after = dict(rows(out, "key, content_hash"))
    assert emulator.stats.requests == 5
    assert {key for key in after if after[key] != before[key]} == {paths[1].name}
    assert len(rows(out)) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "openai:gpt-4o"), "OPENAI_API_KEY"),
        (("--model", "openai:gpt-4oo", "--base-url", "http://127.0.0.1:1/v1"), "gpt-4o"),
        (("--model", "compatible:x"), "--base-url"),
        (("--model", "azure:dep", "--azure-model", "gpt-4o"), "AZURE_OPENAI_ENDPOINT"),
        (("--model", "gpt-4o", "--base-url", "ftp://x"), "http"),
        (("--image-policy", "budget:x"), "budget"),
        (("--detail", "huge", "-m", "gpt-4o", "--base-url", "http://127.0.0.1:1/v1"), "detail"),
        (("--concurrency", "0"), "concurrency"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
async def test_a_wrong_command_is_one_sentence_and_exit_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_jpegs(tmp_path / "photos", 1)
    ended = await nightcap("run", tmp_path / "photos", "-o", tmp_path / "out", *arguments)
    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not list(tmp_path.glob("out/part-*"))


async def test_a_missing_source_and_a_missing_output(tmp_path: Path) -> None:
    absent = await nightcap("run", tmp_path / "absent", "-o", tmp_path / "out")
    assert (absent.code, "absent" in absent.err) == (2, True)
    (tmp_path / "photos").mkdir()
    nowhere = await nightcap("run", tmp_path / "photos")
    assert (nowhere.code, "-o" in nowhere.err) == (2, True)


async def test_refused_credentials_stop_the_run(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 40)
    async with emulate(EmulatorOptions(api_key="right-key")) as strict:
        ended = await nightcap(
            *("run", tmp_path / "photos", "-o", tmp_path / "out", "-m", "gpt-4o", "--base-url", strict.base_url),
            env={"OPENAI_API_KEY": "sk-wrong-key-000"},
        )
        assert strict.stats.requests <= 32
    assert ended.code == 3
    assert "credentials" in ended.err
    assert "sk-wrong" not in ended.err
    assert "Traceback" not in ended.err


async def test_an_unreachable_endpoint_stops_the_run_after_its_patience(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 3)
    job = tmp_path / "job.toml"
    job.write_text(
        "out = 'out'\n[source]\npaths = ['photos']\n[model]\nname = 'gpt-4o'\nbase_url = 'http://127.0.0.1:9/v1'\n"
        "[limits]\npatience_seconds = 1.0\n"
    )
    ended = await nightcap("run", job)
    assert ended.code == 3, ended.err
    assert "could not be reached" in ended.err


async def test_the_offline_describer_captions_the_samples(tmp_path: Path) -> None:
    ended = await nightcap("run", SAMPLE_DATA, "-o", tmp_path / "out")
    assert ended.code == 1, ended.err
    captions = dict(rows(tmp_path / "out", "key, caption"))
    assert len(captions) == len(SAMPLES)
    assert "cat" in str(captions["cat.webp"])
    assert {
        row for row in rows(tmp_path / "out", "provider, model, cost_usd, prompt_tokens") if row[2] is not None
    } == {("builtin", "describe", 0, None)}


async def test_status_tells_counts_reasons_and_cost(emulator: Running, tmp_path: Path) -> None:
    out = tmp_path / "out"
    await nightcap("run", SAMPLE_DATA, "-o", out, "-m", "gpt-4o", "--base-url", emulator.base_url)
    shown = await nightcap("status", out)
    assert shown.code == 0, shown.err
    assert "truncated_file" in shown.out
    assert "rocket-truncated.jpg" in shown.out
    as_json = json.loads((await nightcap("status", out, "--json")).out)
    assert as_json["statuses"]["captioned"] == len(SAMPLES) - 1
    absent = await nightcap("status", tmp_path / "absent")
    assert (absent.code, "absent" in absent.err) == (2, True)
