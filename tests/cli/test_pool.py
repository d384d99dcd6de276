"""Several endpoints and a budget from the shell, against emulators over real HTTP."""

import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipeline.clock import SystemClock
from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions, EndpointOptions
from pipeline.engine.live.run import run_live
from pipeline.engine.stats import Summary
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.report.summary import render_summary
from tests.helpers.called import called
from tests.helpers.command import nightcap
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration

KEYS = {"WEST_KEY": "key-of-all-of-them", "EAST_KEY": "key-of-all-of-them", "OTHER_KEY": "a-wrong-key-0123"}


def job_file(folder: Path, address: Running | str, third_key: str = "EAST_KEY") -> Path:
    address = address if isinstance(address, str) else address.endpoint
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
        base_url = "{address}/west"
        key_env = "WEST_KEY"
        concurrency = 2
        [[endpoint]]
        model = "azure:captions-east"
        base_url = "{address}/east"
        api_version = "2024-10-21"
        key_env = "EAST_KEY"
        priority = 2
        concurrency = 2
        [[endpoint]]
        name = "third"
        model = "openai:gpt-4o"
        base_url = "{address}/third/v1"
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
    everything = "".join(file.read_text(errors="replace") for file in (tmp_path / "out" / "_nightcap").rglob("*.json"))
    assert "EAST_KEY" in everything
    assert "key-of-all-of-them" not in everything


async def test_a_refused_key_costs_no_image_while_others_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with emulate(emulator()) as running:
        plan = Job.load(job_file(tmp_path, running, "OTHER_KEY")).plan()
        summary = await run_live(plan, SystemClock(), KEYS)
    assert summary.exit_code == 0
    assert rows(tmp_path / "out", "count(*), count(caption)") == [(40, 40)]
    assert "third rests" in caplog.text
    assert "a-wrong-key-0123" not in caplog.text


async def test_doctor_looks_at_every_endpoint(tmp_path: Path) -> None:
    async with emulate(emulator()) as running:
        ended = await nightcap("doctor", job_file(tmp_path, running, "OTHER_KEY"), env=KEYS)
    assert ended.code == 3
    assert ended.out.count("The key comes from") == 3
    for line in ("ok endpoint     reserved: ", "ok endpoint     endpoint 2: ", "NO endpoint     third: "):
        assert line in ended.out


def test_an_estimate_counts_them_together(tmp_path: Path) -> None:
    job = job_file(tmp_path, "http://127.0.0.1:9")
    job.write_text(job.read_text().replace("concurrency = 2", "rpm = 100"))
    ended = called("estimate", job, "--json")
    assert ended.code == 0, ended.err
    [row] = json.loads(ended.out)["models"]
    assert row["hours"]["expected"] == pytest.approx(40 / 300 / 60, rel=0.01)


@pytest.mark.parametrize("option", [("--model", "gpt-4o"), ("--rpm", "5"), ("--base-url", "http://127.0.0.1:9/v1")])
def test_what_an_endpoint_has_for_itself_is_not_overlaid(option: tuple[str, str], tmp_path: Path) -> None:
    ended = called("run", job_file(tmp_path, "http://127.0.0.1:9"), *option)
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
    second = await budgeted(tmp_path, emulator, 5)
    assert (second.exit_code, emulator.stats.requests) == (0, 40)
    assert rows(out, "count(*)") == [(40,)]


async def test_what_was_lost_on_its_way_is_set_aside_and_told(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 40)
    async with emulate(EmulatorOptions(scenario=(Step("cut", requests=(3, 4)),))) as shaky:
        summary = await budgeted(tmp_path, shaky, 0.03)
    assert (summary.exit_code, summary.stopped) == (4, "budget")
    spent, unknown = summary.stats.cost_usd, summary.stats.unknown_usd
    assert float(unknown) == pytest.approx(2 * 0.00374, rel=0.1)
    assert Decimal("0.026") < spent + unknown <= Decimal("0.03")
    assert f"up to ${unknown:.4f} for answers that never came" in render_summary(summary)


async def test_a_budget_without_room_for_one_request(
    emulator: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_jpegs(tmp_path / "photos", 2)
    assert (await budgeted(tmp_path, emulator, 0.001)).exit_code == 4
    assert "no room for a single request" in caplog.text
    assert emulator.stats.requests == 0


async def test_a_budget_that_could_not_be_kept_is_refused(emulator: Running, tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 1)
    with pytest.raises(UserError, match="price of compatible:mine is unknown"):
        await budgeted(tmp_path, emulator, 1, model="compatible:mine")
    assert emulator.stats.requests == 0


async def budgeted(folder: Path, server: Running, dollars: float, model: str = "gpt-4o") -> Summary:
    """Ask about the photos in this folder, one at a time, for so much."""
    job = Job.create(
        folder / "photos", folder / "out", model=model, base_url=server.base_url, concurrency=1, max_cost=dollars
    )
    return await run_live(job.plan(), SystemClock(), {})
