"""`nightcap retry`: the rows of some reasons again, and nothing else."""

import asyncio
import json
from pathlib import Path

import pytest

from pipeline import Job, run_async
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.called import called
from tests.helpers.folders import write_jpegs
from tests.helpers.rows import rows_of
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration


@pytest.fixture
async def out(tmp_path: Path) -> Path:
    """Six images: two filtered, one refused, one cut short as a file, two captioned. Made from another folder."""
    photos = tmp_path / "photos"
    write_jpegs(photos, 5)
    (photos / "empty.jpg").touch()
    script = (Step("content_filter", requests=(1, 2)), Step("refusal", requests=(3, 3)))
    async with emulate(EmulatorOptions(scenario=script)) as server:
        job = Job.create(photos, tmp_path / "out", model="gpt-4o", base_url=server.base_url, concurrency=1)
        await run_async(job)
    return tmp_path / "out"


def point_to(out: Path, base_url: str) -> None:
    """The endpoint of the job moved: tests have a new port each time."""
    job = json.loads((out / "_nightcap" / "job.json").read_text())
    job["model"]["base_url"] = base_url
    (out / "_nightcap" / "job.json").write_text(json.dumps(job))


async def test_asks_again_for_what_ended_so_and_for_nothing_else(out: Path) -> None:
    write_jpegs(out.parent / "photos" / "new", 1)
    before = rows_of(out)
    async with emulate() as server:
        point_to(out, server.base_url)
        ended = await asyncio.to_thread(called, "retry", out, "--reason", "filtered,refused", "--json")
        assert ended.code == 0, ended.err
        assert server.stats.requests == 3
    assert json.loads(ended.out)["statuses"] == {"captioned": 3}
    after = rows_of(out)
    assert after.keys() == before.keys()
    assert [key for key, row in after.items() if row["status"] != "captioned"] == ["empty.jpg"]
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {key for key, row in before.items() if row["status"] in ("filtered", "refused")}
    async with emulate() as server:  # the retried rows count as answers to the same request
        job = Job.of_output(out).overlay(base_url=server.base_url)
        summary = await run_async(job)
        assert (server.stats.requests, summary.stats.skipped, summary.stats.reused) == (0, 6, 1), "a copy of 0000.jpg"


async def test_what_it_would_do_and_what_matches_nothing(out: Path) -> None:
    ended = called("retry", out, "--reason", "filtered,rejected", "--dry-run")
    assert (ended.code, ended.err) == (0, "")
    assert "2 images" in ended.out
    assert "filtered:" in ended.out
    assert "Expected cost $" in ended.out
    told = json.loads(called("retry", out, "--reason", "refused", "--dry-run", "--json").out)
    assert (told["rows"], told["reasons"]) == (1, {"refused": 1})
    assert float(told["expected_cost_usd"]) > 0
    nothing = called("retry", out, "--reason", "timeout,filtered:violet")
    assert (nothing.code, nothing.err) == (0, "")
    assert "No row" in nothing.out
    assert "timeout or filtered:violet" in nothing.out
    wrong = called("retry", out, "--reason", "refuse")
    assert (wrong.code, "'refused'" in wrong.err) == (2, True)
    assert called("retry", out, "--reason", " , ").code == 2
    assert called("retry", out.parent / "photos", "--reason", "refused").code == 2


async def test_still_failing_rows_exit_1_and_images_that_are_gone_are_told(out: Path) -> None:
    gone = next(key for key, row in rows_of(out).items() if row["status"] == "refused")
    (out.parent / "photos" / gone).unlink()
    async with emulate(EmulatorOptions(rates={"content_filter": 1.0})) as server:
        point_to(out, server.base_url)
        ended = await asyncio.to_thread(called, "retry", out, "--reason", "filtered,refused")
    assert ended.code == 1, ended.err
    assert "1 of the rows' images are not in the source any more" in ended.err
    assert rows_of(out)[gone]["status"] == "refused", "what was paid for stays"


async def test_an_exhausted_quota_changes_no_row(out: Path) -> None:
    before = rows_of(out)
    async with emulate(EmulatorOptions(rates={"insufficient_quota": 1.0})) as server:
        point_to(out, server.base_url)
        ended = await asyncio.to_thread(called, "retry", out, "--reason", "filtered,refused")
    assert ended.code == 3, ended.err
    assert "quota" in ended.err
    assert rows_of(out) == before


async def test_a_cut_off_caption_gets_room_and_is_never_lost(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_jpegs(photos, 2)
    async with emulate() as server:
        await run_async(Job.create(photos, out, model="gpt-4o", base_url=server.base_url, max_tokens=4))
    before = rows_of(out)
    assert {row["status"] for row in before.values()} == {"truncated"}
    async with emulate(EmulatorOptions(rates={"content_filter": 1.0})) as server:
        point_to(out, server.base_url)
        assert (await asyncio.to_thread(called, "retry", out, "--reason", "truncated")).code == 1
    assert rows_of(out) == before, "no failure takes the place of a caption that was paid for"
    async with emulate() as server:
        point_to(out, server.base_url)
        ended = await asyncio.to_thread(called, "retry", out, "--reason", "truncated", "--max-tokens", "500")
        assert ended.code == 0, ended.err
    after = rows_of(out)
    assert {(row["status"], row["mode"]) for row in after.values()} == {("captioned", "live")}
    assert {row["request_hash"] for row in after.values()} == {row["request_hash"] for row in before.values()}
