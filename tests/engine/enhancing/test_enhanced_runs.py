"""Whole runs with `enhance` against the emulator: rows, bills, limits and trouble of the vision resource."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.clock import ScaledClock, SystemClock
from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine.live.run import run_live
from pipeline.engine.stats import Summary
from pipeline.errors import RunError
from pipeline.estimation import estimate
from pipeline.job import Job
from pipeline.report.draw import draw_row
from pipeline.store import SCHEMA, iter_batches
from tests.helpers.pictures import encoded, photo
from tests.helpers.scripted_server import ScriptedServer, http
from tests.helpers.servers import emulate

KEY = "vision-Ab12Cd34Ef56"
HISTORIC = {"model": "azure:d", "azure_model": "gpt-4-vision-preview", "api_version": "2023-12-01-preview"}
BOTH = ["ocr", "grounding"]
Rows = dict[str, dict[str, Any]]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.jpg").write_bytes(encoded(photo(200 + 60 * number, 180)))
    return folder


def environ(running: Running, key: str = KEY) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": running.base_url,
        "AZURE_OPENAI_ENDPOINT": running.endpoint,
        "AZURE_OPENAI_API_KEY": KEY,
        "VISION_ENDPOINT": running.endpoint,
        "VISION_KEY": key,
    }


async def run(
    photos: Path, environ: Mapping[str, str], clock: SystemClock | ScaledClock | None = None, **options: Any
) -> tuple[Rows, Summary]:
    job = Job.create(photos, photos.parent / "out", **{"model": "gpt-4o", "enhance": BOTH, **options})
    summary = await run_live(job.plan(), clock or SystemClock(), environ)
    rows = [row for batch in iter_batches(job.out, SCHEMA.names) for row in batch.to_pylist()]
    return {row["key"]: row for row in rows}, summary


def check_spans(row: Mapping[str, Any], count: int) -> None:
    """Offsets point at the right words, polygons lie on the picture."""
    assert len(row["grounding"]) == count
    for span in row["grounding"]:
        assert row["caption"][span["offset"] : span["offset"] + span["length"]] == span["text"]
        assert len(span["polygon"]) == 4
        assert all(0 <= corner[side] <= 1 for corner in span["polygon"] for side in "xy")


async def test_image_analysis_is_in_rows_and_bills(photos: Path) -> None:
    async with emulate(EmulatorOptions(api_key=KEY)) as running:
        rows, summary = await run(photos, environ(running))
        assert summary.exit_code == 0
        assert dict(running.stats.analyses) == {200: 6}
        assert running.stats.requests == 6
        assert sum(row["prompt_tokens"] for row in rows.values()) == running.stats.prompt_tokens
    for row in rows.values():
        check_spans(row, 2)
        assert row["prompt_tokens"] == row["predicted_prompt_tokens"]
        tokens = Decimal(row["prompt_tokens"]) * Decimal("2.5e-6") + row["completion_tokens"] * Decimal("10e-6")
        assert row["cost_usd"] == tokens + Decimal("0.0015") + Decimal("0.001")
    drawn = draw_row(str(photos.parent / "out"), "3.jpg")
    assert drawn.png.startswith(b"\x89PNG")
    assert [line.partition("  at ")[0].split()[:2] for line in drawn.legend] == [["1", "marked"], ["2", "picture"]]


async def test_azures_own_enhancements_are_estimated_to_the_cent(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with emulate(EmulatorOptions(api_key=KEY)) as running:
        known = environ(running)
        for name, value in known.items():
            monkeypatch.setenv(name, value)
        job = Job.create(photos, photos.parent / "out", enhance=BOTH, **HISTORIC)
        [row] = estimate(job).models
        rows, summary = await run(photos, known, **HISTORIC)
        assert summary.exit_code == 0
        assert dict(running.stats.analyses) == {}
        assert row.text_tokens_exact
        assert row.prompt_tokens == running.stats.prompt_tokens
    for each in rows.values():
        check_spans(each, 1)
    answers = sum(each["completion_tokens"] for each in rows.values())
    assert row.live_usd is not None
    expected = row.live_usd.expected + (answers - row.output_tokens.expected) * Decimal("30e-6")
    assert sum(each["cost_usd"] for each in rows.values()) == expected
    assert "$0.003 of an image's cost are for what azure-openai finds in it" in row.notes


async def test_a_structured_answer_is_searched_in_its_caption(photos: Path) -> None:
    async with emulate(EmulatorOptions(api_key=KEY)) as running:
        rows, summary = await run(photos, environ(running), preset="alt_text", enhance=["grounding"])
        assert summary.exit_code == 0
        assert sum(row["prompt_tokens"] for row in rows.values()) == running.stats.prompt_tokens
    for row in rows.values():
        assert row["fields"] is not None
        check_spans(row, 1)


async def test_a_refused_vision_key_stops_the_run_before_anything_is_asked(photos: Path) -> None:
    async with emulate(EmulatorOptions(api_key=KEY)) as running:
        with pytest.raises(RunError, match="Image Analysis, at VISION_ENDPOINT: The endpoint refused") as told:
            await run(photos, environ(running, "wrong-Ab12Cd34Ef56"))
        assert "wrong-Ab12" not in str(told.value)
        assert running.stats.requests == 0


async def test_a_small_vision_limit_is_waited_for(photos: Path) -> None:
    """Tier F0: 20 a minute, while the job takes it for S1."""
    clock = ScaledClock(20)
    async with emulate(EmulatorOptions(vision_rpm=60), clock) as running:
        rows, summary = await run(photos, environ(running), ScaledClock(20))
        assert summary.exit_code == 0
        assert running.stats.analyses[200] == 6
        assert running.stats.analyses[429] > 0
    assert {row["status"] for row in rows.values()} == {"captioned"}


async def test_a_picture_too_small_to_be_looked_at_is_captioned_all_the_same(photos: Path) -> None:
    (photos / "icon.png").write_bytes(encoded(photo(50, 300), "png"))
    async with emulate() as running:
        rows, _ = await run(photos, environ(running))
        assert running.stats.analyses == {200: 6}
    assert (rows["icon.png"]["status"], rows["icon.png"]["grounding"]) == ("captioned", [])


async def test_a_budget_holds_for_both_bills(photos: Path) -> None:
    for number in range(30):
        (photos / f"more-{number}.jpg").write_bytes(encoded(photo(100 + number, 180)))
    limit = Decimal("0.05")
    async with emulate() as running:
        rows, summary = await run(photos, environ(running), max_cost=str(limit), max_tokens=100)
        looked_at = running.stats.analyses[200]
        tokens = running.stats.prompt_tokens * Decimal("2.5e-6") + running.stats.completion_tokens * Decimal("10e-6")
    assert summary.exit_code == 4
    assert 5 <= len(rows) < 36
    assert tokens + looked_at * Decimal("0.0025") <= limit
    lost = tokens + looked_at * Decimal("0.0025") - sum(row["cost_usd"] for row in rows.values())
    assert lost == (looked_at - len(rows)) * Decimal("0.0025"), "what no row has is what was looked at in vain"
    assert looked_at - len(rows) <= 2


async def test_a_vision_resource_out_of_reach_stops_the_run(photos: Path) -> None:
    async with emulate() as running:
        dead = {**environ(running), "VISION_ENDPOINT": "http://127.0.0.1:9"}
        with pytest.raises(RunError, match="VISION_ENDPOINT: The endpoint could not be reached"):
            await run(photos, dead, ScaledClock(50), patience_seconds=20)
        assert running.stats.requests == 0


@pytest.mark.parametrize("enhance_with", ["azure-openai", "image-analysis"])
async def test_the_vision_key_is_written_nowhere(
    photos: Path, enhance_with: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with emulate(EmulatorOptions(api_key=KEY)) as running:
        _, summary = await run(photos, environ(running), enhance_with=enhance_with, keep_raw=True, **HISTORIC)
    assert summary.exit_code == 0
    files = [path for path in (photos.parent / "out").rglob("*") if path.is_file()]
    assert any(path.name == "job.json" for path in files)
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert KEY not in caplog.text + str(summary.to_dict())


async def test_a_server_that_quotes_the_request_tells_no_key(photos: Path) -> None:
    server = ScriptedServer()
    await server.start()
    told = {"error": {"code": "BadRequest", "message": f"Unexpected value in dataSources: {KEY}"}}
    server.answers.append(http(400, told))
    known = {"AZURE_OPENAI_ENDPOINT": server.address, "AZURE_OPENAI_API_KEY": "azure-Ab12Cd34Ef56"}
    vision = {"VISION_ENDPOINT": "https://v.cognitiveservices.azure.com", "VISION_KEY": KEY}
    try:
        rows, _ = await run(photos, known | vision, **HISTORIC)
    finally:
        await server.stop()
    assert KEY in server.requests[0].body.decode()
    assert {row["message"] for row in rows.values()} == {"Unexpected value in dataSources: [redacted]"}
