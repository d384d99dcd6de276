"""What a run records, against the emulator over real HTTP."""

import asyncio
import logging
import tracemalloc
from pathlib import Path

import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine.control.watching import LOOK_SECONDS
from pipeline.engine.live.run import run_live
from pipeline.errors import UserError
from pipeline.job import run, run_async
from tests.engine.live.run.runs import in_virtual_time, interrupt, job_for, keys, rows
from tests.engine.making import until
from tests.helpers.clock import FakeClock
from tests.helpers.folders import write_jpegs, write_variant
from tests.helpers.servers import emulate
from tests.helpers.zero_latency_endpoint import zero_latency_endpoint

TRANSIENT = {"server_error", "timeout", "rate_limited"}


async def test_one_row_for_each_image_whatever_the_server_does(photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more than that")
    (photos / "empty.jpg").touch()
    (photos / "gone.jpg").symlink_to(photos / "nowhere.jpg")
    lasting = dict.fromkeys(("content_filter", "answer_filtered", "refusal", "apology", "invalid_image"), 0.06)
    passing = dict.fromkeys(
        (
            *("rate_limit", "blind_rate_limit", "high_demand", "server_error", "bad_gateway", "overloaded", "cut"),
            *("slow_down", "gateway_timeout", "site_overloaded", "request_timeout", "cut_body", "invalid_json", "html"),
            *("empty_choices", "empty_answer", "missing_usage", "context_length", "too_large", "image_url_timeout"),
        ),
        0.035,
    )
    listed = sorted(path.name for path in photos.iterdir())
    async with emulate(EmulatorOptions(rates=lasting | passing, seed=7)) as shaky:
        job = job_for(photos, shaky, concurrency=8)
        first = await in_virtual_time(job)
        stats, found = shaky.stats, rows(job)
        assert len(stats.faults) >= 18, "nearly every fault was met"
        assert [row["key"] for row in found] == listed
        assert first.stats.recorded == len(listed) == first.stats.todo
        assert first.exit_code == 1
        assert sum(row["attempts"] for row in found) == stats.requests
        assert first.stats.retries.total() == stats.requests - sum(row["attempts"] > 0 for row in found)
        for row in found:
            assert (row["caption"] is not None) == (row["status"] in ("captioned", "truncated"))
            assert (row["reason"] is not None) == (row["status"] != "captioned")
        reasons = {row["key"]: row["reason"] for row in found}
        assert (reasons["empty.jpg"], reasons["gone.jpg"]) == ("truncated_file", "unreadable")
        assert {row["status"] for row in found} == {"captioned", "filtered", "refused", "failed"}

        answered = {row["key"]: row["caption"] for row in found if row["reason"] not in TRANSIENT}
        asked = stats.requests
        second = await in_virtual_time(job)
        assert second.stats.todo == len(listed) - len(answered), "only passing trouble is asked again"
        assert (stats.requests > asked) == (second.stats.todo > 0)
        assert {row["key"]: row["caption"] for row in rows(job) if row["key"] in answered} == answered


async def test_a_second_run_sends_nothing(photos: Path, emulator: Running) -> None:
    job = job_for(photos, emulator)
    first, second = await run_async(job), await run_async(job)
    assert emulator.stats.requests == 40 == first.stats.captioned
    assert (second.stats.skipped, second.stats.todo, second.exit_code) == (40, 0, 0)
    assert len(keys(job)) == 40
    assert first.run_id != second.run_id


@pytest.mark.parametrize("limit", [0, 1, 39, 40, 41])
async def test_a_limit_counts_what_is_asked(limit: int, photos: Path, emulator: Running) -> None:
    summary = await run_async(job_for(photos, emulator, limit=limit, concurrency=1))
    assert emulator.stats.requests == min(limit, 40)
    assert summary.exit_code == (4 if limit < 40 else 0)
    assert summary.stopped == ("limit" if limit < 40 else None)
    left = max(0, 40 - limit)
    assert (summary.stats.left, summary.stats.listing_done) == (left, True)
    assert summary.left_usd == (left * summary.stats.cost_usd / min(limit, 40) if limit else None)


async def test_no_image_at_all(tmp_path: Path, emulator: Running) -> None:
    (tmp_path / "photos").mkdir()
    job = job_for(tmp_path / "photos", emulator)
    assert (await run_async(job)).exit_code == 0
    assert keys(job) == []


async def test_nothing_but_broken_images(tmp_path: Path, emulator: Running) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(600):
        (tmp_path / "photos" / f"{number:04}.jpg").write_bytes(b"\xff\xd8broken")
    job = job_for(tmp_path / "photos", emulator, concurrency=1)
    summary = await run_async(job)
    assert (summary.stats.statuses, summary.exit_code) == ({"failed": 600}, 1)
    assert len(keys(job)) == 600


async def test_a_budget_below_one_body_lets_one_through_at_a_time(photos: Path) -> None:
    async with emulate(EmulatorOptions(latency=0.002)) as server:
        job = job_for(photos, server, max_bytes_in_flight=1, concurrency=16)
        assert (await run_async(job)).exit_code == 0
        assert server.stats.peak_in_flight == 1


async def test_money_and_tokens_are_the_servers(photos: Path, emulator: Running) -> None:
    job = job_for(photos, emulator)
    stats = (await run_async(job)).stats
    assert stats.prompt_tokens == emulator.stats.prompt_tokens == stats.predicted_prompt_tokens
    assert stats.completion_tokens == emulator.stats.completion_tokens
    assert stats.cost_usd == sum(row["cost_usd"] for row in rows(job)) > 0


async def test_a_withheld_answer_costs_what_it_cost(photos: Path) -> None:
    async with emulate(EmulatorOptions(rates={"answer_filtered": 1.0})) as strict:
        job = job_for(photos, strict, limit=2)
        summary = await run_async(job)
    for row in rows(job):
        assert (row["status"], row["caption"], row["finish_reason"]) == ("filtered", None, "content_filter")
        assert row["completion_tokens"] > 0
        assert row["cost_usd"] > 0
    assert summary.stats.cost_usd == sum(row["cost_usd"] for row in rows(job))


async def test_runs_in_another_thread_and_from_within_a_loop(photos: Path, emulator: Running) -> None:
    job = job_for(photos, emulator)
    assert (await asyncio.to_thread(run, job)).stats.captioned == 40
    with pytest.raises(UserError, match="await run_async"):
        run(job)


async def test_two_runs_at_once_in_one_loop(photos: Path, emulator: Running) -> None:
    one, other = (job_for(photos, emulator).overlay(out=str(photos.parent / name)) for name in ("one", "other"))
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(run_async(job)) for job in (one, other)]
    assert [task.result().exit_code for task in runs] == [0, 0]
    assert keys(one) == keys(other)
    assert len(keys(one)) == 40


async def test_the_observer_sees_the_end(photos: Path, emulator: Running) -> None:
    counts: list[int] = []
    await run_async(job_for(photos, emulator), lambda stats: counts.append(stats.recorded))
    assert (counts[0], counts[-1]) == (0, 40)


@pytest.mark.integration
async def test_thousands_of_images(tmp_path: Path) -> None:
    originals = [path.read_bytes() for path in write_jpegs(tmp_path / "originals", 4)]
    (tmp_path / "photos").mkdir()
    for number in range(3000):
        write_variant(tmp_path / "photos" / f"{number:05}.jpg", originals[number % 4], number)
    with zero_latency_endpoint() as url:
        job = job_for(tmp_path / "photos", url, concurrency=64)
        summary = await run_async(job)
        assert summary.stats.captioned == 3000 == len(keys(job))
        assert (await run_async(job)).stats.todo == 0


@pytest.mark.integration
async def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """Sixty bodies of 0.9 MB pass through a budget of 4 MB; reading, encoding and sending may hold a few more."""
    [original] = write_jpegs(tmp_path / "original", 1, 1536, 768, grain=75)
    (tmp_path / "photos").mkdir()
    for number in range(60):
        size = write_variant(tmp_path / "photos" / f"{number:04}.jpg", original.read_bytes(), number).stat().st_size
    assert 600_000 < size < 750_000
    with zero_latency_endpoint() as url:
        job = job_for(tmp_path / "photos", url, concurrency=16, max_bytes_in_flight=4_000_000)
        await run_async(job.overlay(limit=1))  # what is loaded once does not count
        tracemalloc.start()
        try:
            summary = await run_async(job)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert summary.stats.sent_bytes == 59 * size, "sent as they are"
    assert peak < 15_000_000 < 59 * size * 4 / 3 / 2


async def test_limits_change_while_a_run_goes_on(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with emulate(EmulatorOptions(scenario=(Step("hang", requests=(1, 1000)),))) as hung:
        job = job_for(photos, hung, concurrency=2)
        clock = FakeClock()
        running = asyncio.ensure_future(run_live(job.plan(), clock, {}))
        await until(lambda: hung.stats.in_flight == 2)
        control = Path(job.out, "_nightcap", "control.toml")
        for text, in_flight in (("concurrency = 9", 9), ("concurrency = 30", 30)):
            control.write_text(text)
            await clock.advance(LOOK_SECONDS)
            await until(lambda expected=in_flight: hung.stats.in_flight == expected)  # type: ignore[misc]
        assert "control.toml: concurrency 30 instead of 9" in caplog.text
        control.unlink()
        await clock.advance(LOOK_SECONDS)
        await until(lambda: "concurrency 2 instead of 30" in caplog.text)
        for _ in range(2):
            await interrupt()
        assert (await asyncio.wait_for(running, 20)).exit_code == 130
        assert hung.stats.requests == 30
