"""Several endpoints and a budget from the shell, against emulators over real HTTP."""

import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions, EndpointOptions
from tests.helpers.command import nightcap
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration

KEYS = {"WEST_KEY": "key-of-all-of-them", "EAST_KEY": "key-of-all-of-them", "OTHER_KEY": "a-wrong-key-0123"}


def job_file(folder: Path, running: Running, third_key: str = "EAST_KEY") -> Path:
    write_jpegs(folder / "photos", 40)
    file = folder / "job.toml"
    file.write_text(
        f"""
        out = "out"
        [source]
        paths = ["photos"]
        [model]
        azure_model = "gpt-4o"
        [[endpoint]]
        name = "reserved"
        model = "azure:captions-west"
        base_url = "{running.endpoint}/west"
        key_env = "WEST_KEY"
        concurrency = 2
        [[endpoint]]
        model = "azure:captions-east"
        base_url = "{running.endpoint}/east"
        api_version = "2024-10-21"
        key_env = "EAST_KEY"
        priority = 2
        concurrency = 2
        [[endpoint]]
        name = "third"
        model = "openai:gpt-4o"
        base_url = "{running.endpoint}/third/v1"
        key_env = "{third_key}"
        priority = 2
        concurrency = 2
        """
    )
    return file


def emulator() -> EmulatorOptions:
    return EmulatorOptions(
        endpoints={name: EndpointOptions(model="gpt-4o", latency=0.02) for name in ("west", "east", "third")},
        api_key="key-of-all-of-them",
    )


def rows(out: Path, what: str) -> list[tuple[object, ...]]:
    return duckdb.sql(f"select {what} from '{out}/*.parquet'").fetchall()


async def test_endpoints_share_a_job_and_rows_say_who_answered(tmp_path: Path) -> None:
    async with emulate(emulator()) as running:
        job = job_file(tmp_path, running)
        ended = await nightcap("run", job, env=KEYS)
        assert ended.code == 0, ended.err
        assert "azure:gpt-4o at 3 endpoints" in ended.err
        found = rows(tmp_path / "out", "distinct provider, model, deployment")
        assert sorted(map(str, found)) == [
            "('azure', 'gpt-4o', 'captions-east')",
            "('azure', 'gpt-4o', 'captions-west')",
            "('openai', 'gpt-4o', None)",
        ]
        assert rows(tmp_path / "out", "count(*), count(cost_usd)") == [(40, 40)]
        assert running.stats.requests == 40
        text = job.read_text()
        begin, end = text.index("[[endpoint]]"), text.index("[[endpoint]]", text.index("[[endpoint]]") + 1)
        job.write_text(text[:begin] + text[end:])
        again = await nightcap("run", job, "--json", env=KEYS)
        assert again.code == 0, again.err
        assert running.stats.requests == 40, "an endpoint less is the same job"
    everything = "".join(file.read_text(errors="replace") for file in (tmp_path / "out" / "_nightcap").rglob("*.json"))
    assert "EAST_KEY" in everything
    assert "key-of-all-of-them" not in everything


async def test_a_refused_key_costs_no_image_while_others_answer(tmp_path: Path) -> None:
    async with emulate(emulator()) as running:
        ended = await nightcap("run", job_file(tmp_path, running, "OTHER_KEY"), env=KEYS)
    assert ended.code == 0, ended.err
    assert "third rests" in ended.err
    assert "a-wrong-key-0123" not in ended.err
    assert rows(tmp_path / "out", "count(*), count(caption)") == [(40, 40)]


async def test_doctor_looks_at_every_endpoint(tmp_path: Path) -> None:
    async with emulate(emulator()) as running:
        job = job_file(tmp_path, running, "OTHER_KEY")
        ended = await nightcap("doctor", job, env=KEYS)
        assert ended.code == 3
        absent = await nightcap("doctor", job, env={"WEST_KEY": "key-of-all-of-them"})
        assert absent.code == 2
        assert "EAST_KEY is not set" in absent.out
    lines = ended.out.splitlines()
    assert sum("The key comes from" in line for line in lines) == 3
    assert [line[:2] for line in lines if " endpoint " in f" {line[3:]}"[:12]] == ["ok", "ok", "NO"]
    assert "ok endpoint     reserved: " in ended.out
    assert "NO endpoint     third: " in ended.out


async def test_an_estimate_counts_them_together(tmp_path: Path) -> None:
    async with emulate(emulator()) as running:
        job = job_file(tmp_path, running)
        job.write_text(job.read_text().replace("concurrency = 2", "rpm = 100"))
        ended = await nightcap("estimate", job, "--json")
    assert ended.code == 0, ended.err
    [row] = json.loads(ended.out)["models"]
    assert row["hours"]["expected"] == pytest.approx(40 / 300 / 60, rel=0.01)


@pytest.mark.parametrize("option", [("--model", "gpt-4o"), ("--rpm", "5"), ("--base-url", "http://127.0.0.1:9/v1")])
async def test_what_an_endpoint_has_for_itself_is_not_overlaid(option: tuple[str, str], tmp_path: Path) -> None:
    async with emulate(emulator()) as running:
        ended = await nightcap("run", job_file(tmp_path, running), *option, env=KEYS)
    assert ended.code == 2
    assert "[[endpoint]]" in ended.err


async def test_a_budget_stops_the_run_and_the_next_one_continues(emulator: Running, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 40)
    out = tmp_path / "out"
    command = ("run", tmp_path / "photos", "-o", out, "-m", "gpt-4o", "--base-url", emulator.base_url)
    first = await nightcap(*command, "--max-cost", "0.02", "--concurrency", "4")
    assert first.code == 4, first.err
    [(spent, count)] = rows(out, "sum(cost_usd), count(*)")
    assert isinstance(spent, Decimal)
    assert isinstance(count, int)
    assert Decimal("0.013") < spent <= Decimal("0.02"), "but for the room that one more answer might need"
    assert 0 < count < 40
    assert emulator.stats.requests == count
    second = await nightcap(*command, "--max-cost", "5")
    assert second.code == 0, second.err
    assert emulator.stats.requests == 40
    assert rows(out, "count(*)") == [(40,)]


async def test_a_budget_that_could_not_be_kept_is_refused(emulator: Running, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 1)
    command = ("run", tmp_path / "photos", "-o", tmp_path / "out", "--base-url", emulator.base_url, "--max-cost", "1")
    ended = await nightcap(*command, "-m", "compatible:mine")
    assert ended.code == 2
    assert "price of compatible:mine is unknown" in ended.err
    assert emulator.stats.requests == 0


async def test_what_was_lost_on_its_way_is_set_aside_and_told(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 40)
    command = ("run", tmp_path / "photos", "-o", tmp_path / "out", "-m", "gpt-4o", "--max-cost", "0.03", "--json")
    async with emulate(EmulatorOptions(scenario=(Step("cut", requests=(3, 4)),))) as shaky:
        ended = await nightcap(*command, "--base-url", shaky.base_url, "--concurrency", "1")
    assert ended.code == 4, ended.err
    told = json.loads(ended.out)
    assert told["stopped"] == "budget"
    assert float(told["unknown_usd"]) == pytest.approx(2 * 0.00374, rel=0.1)
    assert Decimal("0.026") < Decimal(told["cost_usd"]) + Decimal(told["unknown_usd"]) <= Decimal("0.03")


async def test_a_budget_without_room_for_one_request(emulator: Running, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 2)
    command = ("run", tmp_path / "photos", "-o", tmp_path / "out", "-m", "gpt-4o", "--base-url", emulator.base_url)
    ended = await nightcap(*command, "--max-cost", "0.001")
    assert ended.code == 4
    assert "no room for a single request" in ended.err
    assert emulator.stats.requests == 0
