"""Videos through the whole of a run: a caption row each, and a bill that was known before."""

import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import obstore
import pandas
import pytest

from pipeline import Job, estimate, run_async
from pipeline.emulator.app import Running
from pipeline.engine.live import fetching
from pipeline.images import hash_bytes
from pipeline.objects import open_objects
from tests.helpers.command import nightcap
from tests.helpers.object_stores import ObjectServer
from tests.helpers.servers import emulate
from tests.helpers.videos import make_sound, make_video
from tests.helpers.web_server import serve

pytestmark = pytest.mark.integration

HALF_A_MINUTE = (6.0, 2.5, 9.0, 0.5, 12.0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    (folder / "half-a-minute.mp4").write_bytes(make_video("mp4", "libx264", scenes=HALF_A_MINUTE, size=(1280, 720)))
    (folder / "upright.mov").write_bytes(make_video("mov", rotation=-90, size=(640, 384)))
    (folder / "browser.webm").write_bytes(make_video("webm", "libvpx-vp9", options={"live": "1"}))
    (folder / "short.avi").write_bytes(make_video("avi", scenes=(0.5,)))
    (folder / "cut.mp4").write_bytes(make_video("mp4")[:-99])
    (folder / "sound.mp4").write_bytes(make_sound())
    return folder


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with emulate() as running:
        yield running


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gpt-4o", {}),
        ("gpt-4o-mini", {}),
        ("gpt-4.1-mini", {}),
        ("gpt-4o", {"frames": 7, "frames_at": "scenes"}),
        ("gpt-4.1-mini", {"detail": "high", "frames": 4}),
    ],
)
async def test_predicted_is_billed(
    model: str, options: dict[str, object], clips: Path, server: Running, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    job = Job.create(clips, out, model=model, base_url=server.base_url, video=True, max_tokens=500, **options)
    [told] = (before := estimate(job)).models
    summary = await run_async(job)
    assert summary.exit_code == 1
    rows = pandas.read_parquet(out).set_index("key")
    asked = rows[rows.status == "captioned"]
    assert set(asked.index) == {"half-a-minute.mp4", "upright.mov", "browser.webm", "short.avi"}
    assert dict(rows.reason.dropna()) == {"cut.mp4": "truncated_file", "sound.mp4": "unsupported_format"}
    assert before.survey.unreadable == {"truncated_file": 1, "unsupported_format": 1}
    assert (asked.predicted_prompt_tokens == asked.prompt_tokens).all()
    assert told.prompt_tokens == asked.prompt_tokens.sum()
    assert told.live_usd is not None
    assert told.live_usd.low < asked.cost_usd.sum() <= told.live_usd.high
    row = asked.loc["half-a-minute.mp4"]
    assert (row.width, row.height, row.format, row.duration) == (1280, 720, "mp4", 30.0)
    assert row.detail == options.get("detail", "low")
    assert f"{options.get('frames', 20)} pictures" in row.caption or options.get("frames", 20) <= 8
    [again] = estimate(job).models
    assert again.images == 0


async def test_a_video_named_on_the_command_line(clips: Path, server: Running, tmp_path: Path) -> None:
    clip, out = str(clips / "half-a-minute.mp4"), str(tmp_path / "out")
    options = ["-m", "openai:gpt-4o", "--base-url", server.base_url]
    shown = await nightcap("request", clip, *options)
    body = json.loads(shown.out)["body"]["messages"][0]["content"]
    assert sum(part["type"] == "image_url" for part in body) == 20
    ended = await nightcap("run", clip, "-o", out, *options, env={"OPENAI_API_KEY": "k"})
    assert ended.code == 0, ended.err
    again = await nightcap("run", clip, "-o", out, *options, env={"OPENAI_API_KEY": "k"})
    assert again.code == 0
    assert len(pandas.read_parquet(out)) == 1
    assert server.stats.requests == 1
    free = await nightcap("run", clip, "-o", str(tmp_path / "free"))
    assert free.code == 0, free.err


async def test_a_folder_of_both_has_its_videos_when_the_job_says_so(
    clips: Path, server: Running, tmp_path: Path
) -> None:
    job = Job.create(clips, tmp_path / "out", model="gpt-4o", base_url=server.base_url)
    assert (await run_async(job)).stats.listed == 0
    assert (await run_async(job.overlay(include=("*.avi",)))).stats.captioned == 1


async def test_videos_far_away_come_in_pieces_and_leave_nothing(
    clips: Path, server: Running, s3: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(fetching, "PIECE_BYTES", 20_000)
    clip = (clips / "half-a-minute.mp4").read_bytes()
    bucket = s3.create("videos-far-away")
    await obstore.put_async(open_objects(bucket).store, "clips/a.mp4", clip)
    async with serve({"b.mp4": clip, "c.mov": (clips / "upright.mov").read_bytes()}) as web:
        sources = [f"{bucket}/clips", f"{web.url}b.mp4", f"{web.url}c.mov", f"{web.url}gone.mp4"]
        job = Job.create(
            sources, tmp_path / "out", model="gpt-4o", base_url=server.base_url, allow_private_network=True, video=True
        )
        [told] = estimate(job).models
        summary = await run_async(job)
        asked_of_web = len(web.requests)
    rows = pandas.read_parquet(tmp_path / "out").set_index("format")
    assert summary.exit_code == 1
    assert summary.stats.captioned == 3, "one of them for nothing: it is the same file"
    assert (rows.loc["mp4"].content_hash == hash_bytes(clip)).all()
    assert (rows.loc["mp4"].bytes == len(clip)).all()
    assert asked_of_web >= len(clip) // 20_000
    assert "taken for 1920x1080" in " ".join(told.notes)
    assert list(folder.iterdir()) == []


async def test_a_web_server_without_parts_gives_the_whole(
    clips: Path, server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PIECE_BYTES", 20_000)
    async with serve({"b.mp4": (clips / "half-a-minute.mp4").read_bytes()}) as web:
        web.has_ranges = False
        job = Job.create(
            f"{web.url}b.mp4", tmp_path / "out", model="gpt-4o", base_url=server.base_url, allow_private_network=True
        )
        assert (await run_async(job)).exit_code == 0
