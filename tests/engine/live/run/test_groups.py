"""Several images in one request, from the listing to the row."""

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline import Job, estimate, run_async
from pipeline.emulator.app import Running
from pipeline.emulator.faults import Step
from pipeline.emulator.options import EmulatorOptions
from pipeline.errors import UserError
from pipeline.reasons import TRANSIENT
from tests.engine.live.run.runs import job_for
from tests.helpers.folders import write_jpegs
from tests.helpers.pictures import encoded, photo
from tests.helpers.rows import rows_of
from tests.helpers.servers import emulate
from tests.helpers.web_server import serve


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folders of 1, 2 and 11 images."""
    for name, count in (("one", 1), ("two", 2), ("eleven", 11)):
        write_jpegs(tmp_path / "photos" / name, count)
    return tmp_path / "photos"


def grouped(photos: Path, server: Running, **options: Any) -> Job:
    return job_for(photos, server, group_by="folder").overlay(**options)


@pytest.mark.parametrize("model", ["openai:gpt-4o", "openai:gpt-4o-mini", "openai:gpt-4.1-mini", "openai:gpt-5-mini"])
async def test_a_group_is_one_request_and_one_row_billed_as_predicted(
    photos: Path, emulator: Running, model: str
) -> None:
    job = grouped(photos, emulator, model=model)
    summary = await run_async(job)
    assert (summary.exit_code, summary.stats.captioned, emulator.stats.requests) == (0, 3, 3)
    rows = rows_of(job.out)
    assert {key: len(row["members"]) for key, row in rows.items()} == {"eleven": 11, "one": 1, "two": 2}
    for row in rows.values():
        assert row["prompt_tokens"] == row["predicted_prompt_tokens"] > row["predicted_image_tokens"]
        assert (row["width"], row["height"], row["format"]) == (None, None, None)
        assert row["bytes"] == sum((photos / member).stat().st_size for member in row["members"])
        assert row["content_hash"].startswith("blake3:")
    assert rows["two"]["uri"] == f"file://{photos}/two/"


async def test_only_a_group_that_changed_is_asked_again_and_gone_ones_are_pruned(
    photos: Path, emulator: Running
) -> None:
    job = grouped(photos, emulator)
    await run_async(job)
    assert (await run_async(job)).stats.todo == 0
    (photos / "two" / "new.jpg").write_bytes(encoded(photo(80, 60, seed=9)))
    shutil.rmtree(photos / "one")
    summary = await run_async(job.overlay(prune=True))
    assert (summary.stats.captioned, summary.stats.pruned) == (1, 1)
    assert {key: len(row["members"]) for key, row in rows_of(job.out).items()} == {"eleven": 11, "two": 3}
    assert emulator.stats.requests == 4


async def test_a_folder_that_was_moved_is_not_paid_for_again(photos: Path, emulator: Running) -> None:
    job = grouped(photos, emulator)
    await run_async(job)
    (photos / "two").rename(photos / "deux")
    await run_async(job)
    assert emulator.stats.requests == 3
    assert rows_of(job.out)["deux"]["mode"] == "reused"
    assert rows_of(job.out)["deux"]["members"] == ["deux/0000.jpg", "deux/0001.jpg"]


async def test_one_broken_member_costs_nothing_and_is_named(photos: Path, emulator: Running) -> None:
    broken = next((photos / "two").iterdir())
    broken.write_bytes(broken.read_bytes()[:-20])
    job = grouped(photos, emulator)
    await run_async(job)
    row = rows_of(job.out)["two"]
    assert (row["status"], row["reason"], row["cost_usd"]) == ("failed", "truncated_file", None)
    assert f"two/{broken.name}: " in row["message"]
    assert len(row["members"]) == 2
    assert emulator.stats.requests == 2


async def test_a_group_of_more_than_the_provider_takes_is_never_sent(
    photos: Path, emulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key")
    job = grouped(photos, emulator, model="azure:d", azure_model="gpt-4-turbo", base_url=emulator.endpoint)
    await run_async(job)
    row = rows_of(job.out)["eleven"]
    assert row["reason"] == "too_large"
    assert "The group has 11 images, and a request may have 10 (" in row["message"]
    assert emulator.stats.requests == 2


async def test_what_looks_at_one_image_is_not_asked_about_several(photos: Path) -> None:
    job = Job.create(photos, photos.parent / "out", group_by="folder")
    with pytest.raises(UserError, match="builtin:describe takes 1"):
        await run_async(job)
    with pytest.raises(UserError, match="builtin:describe takes 1"):
        estimate(job, ["builtin:describe"])


async def test_what_a_gateway_finds_too_large_is_sent_smaller(photos: Path) -> None:
    options = EmulatorOptions(scenario=(Step("too_large", requests=(1, 1)),))
    async with emulate(options) as running:
        job = grouped(photos, running, concurrency=1)
        assert (await run_async(job)).exit_code == 0
        rows = rows_of(job.out)
        assert running.stats.requests == 4
    [remade] = [row for row in rows.values() if row["attempts"] == 2]
    others = [row["sent_width"] for row in rows.values() if row["attempts"] == 1]
    assert remade["sent_width"] < min(others)
    assert remade["prompt_tokens"] == remade["predicted_prompt_tokens"]


async def test_whatever_the_server_does_each_group_has_one_row(photos: Path) -> None:
    faults = ("rate_limit", "server_error", "cut", "invalid_json", "missing_usage")
    for number in range(20):
        write_jpegs(photos / f"g{number}", 3)
    async with emulate(EmulatorOptions(rates=dict.fromkeys(faults, 0.05), seed=4)) as running:
        job = grouped(photos, running)
        await run_async(job)
    rows = rows_of(job.out)
    assert len(rows) == 23
    assert {row["reason"] for row in rows.values()} <= {None, *TRANSIENT}


async def test_images_far_away_are_fetched_into_one_request(tmp_path: Path, emulator: Running) -> None:
    files = {f"{shoe}/{number}.jpg": encoded(photo(96, 64, seed=number)) for shoe in "ab" for number in range(3)}
    async with serve(files) as server:
        lines = [f"{server.url}{name}?sig=SECRET,{name[0]}\n" for name in files]
        (tmp_path / "list.csv").write_text("".join(["url,shoe\n", *lines, f"{server.url}gone.jpg,b\n"]))
        job = Job.create(
            tmp_path / "list.csv", tmp_path / "out", model="openai:gpt-4o", base_url=emulator.base_url,
            group_by="column:shoe", prompt="Which shoe is {shoe}?", allow_private_network=True,
        )  # fmt: skip
        await run_async(job)
        rows = rows_of(job.out)
        assert rows["a"]["status"] == "captioned", rows["a"]["message"]
        assert rows["a"]["metadata"] == [("shoe", "a")]
        assert rows["a"]["uri"] == f"{server.url}a/"
        assert (rows["b"]["status"], rows["b"]["reason"]) == ("failed", "unreadable")
        assert "gone.jpg: " in rows["b"]["message"]
        assert "SECRET" not in str(rows)
    assert emulator.stats.requests == 1


async def test_a_group_may_lie_partly_here_and_partly_far_away(
    tmp_path: Path, emulator: Running, caplog: pytest.LogCaptureFixture
) -> None:
    write_jpegs(tmp_path / "here", 1)
    async with serve({"x.jpg": encoded(photo(96, 64))}) as server:
        (tmp_path / "list.csv").write_text(f"path,g\nhere/0000.jpg,1\n{server.url}x.jpg,1\n")
        job = job_for(tmp_path / "list.csv", emulator, group_by="column:g", allow_private_network=True)
        with caplog.at_level(logging.WARNING):
            assert (await run_async(job)).exit_code == 0, caplog.text
    assert rows_of(job.out)["1"]["uri"] == ""
