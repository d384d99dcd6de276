"""How pictures reach the model: how closely looked at, as what they are, and no larger than they may be."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator.app import Running
from pipeline.errors import UserError
from pipeline.job import Job, run_async
from pipeline.store import iter_batches
from tests.helpers.pictures import encoded, photo

COLUMNS = ["key", "status", "reason", "message", "detail", "sent_width", "sent_height", "sent_bytes", "sent_format"]
COLUMNS += ["prompt_tokens", "predicted_prompt_tokens"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A large one, and two whose names are wrong."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "large.jpg").write_bytes(encoded(photo(2000, 1000, grain=20), quality=95))
    (folder / "webp.jpg").write_bytes(encoded(photo(640, 480), "webp"))
    (folder / "png.webp").write_bytes(encoded(photo(640, 480), "png"))
    return folder


async def rows(photos: Path, server: Running, **options: Any) -> dict[str, dict[str, Any]]:
    job = Job.create(photos, photos.parent / "out", base_url=server.base_url, **options)
    await run_async(job)
    found = [row for batch in iter_batches(job.out, COLUMNS) for row in batch.to_pylist()]
    return {row["key"]: row for row in found}


@pytest.mark.parametrize(
    ("detail", "sent"), [("low", (512, 256)), ("high", (1536, 768)), ("auto", (1536, 768)), ("original", (2000, 1000))]
)
async def test_each_detail_is_billed_as_predicted(
    photos: Path, emulator: Running, detail: str, sent: tuple[int, int]
) -> None:
    model = "gpt-5.4" if detail == "original" else "gpt-4o"
    found = await rows(photos, emulator, model=model, detail=detail)
    assert {row["status"] for row in found.values()} == {"captioned"}
    assert {row["detail"] for row in found.values()} == {detail}
    assert all(row["prompt_tokens"] == row["predicted_prompt_tokens"] for row in found.values())
    large = found["large.jpg"]
    assert (large["sent_width"], large["sent_height"]) == sent
    # By its bytes, not by its name.
    small = {"webp.jpg": "webp", "png.webp": "png"} if detail != "low" else {"webp.jpg": "jpeg", "png.webp": "jpeg"}
    assert {key: found[key]["sent_format"] for key in small} == small
    assert emulator.stats.mime_mismatches == 0


async def test_a_detail_that_the_model_does_not_know_is_told_before_anything_is_sent(
    photos: Path, emulator: Running
) -> None:
    with pytest.raises(UserError, match=r"gpt-4o knows no detail 'original': use low, high or auto\."):
        await rows(photos, emulator, model="gpt-4o", detail="original")
    assert emulator.stats.requests == 0


async def test_what_takes_too_many_bytes_is_sent_smaller(photos: Path, emulator: Running) -> None:
    found = await rows(photos, emulator, model="gpt-4o", max_sent_bytes=60_000)
    assert {row["status"] for row in found.values()} == {"captioned"}
    assert all(row["sent_bytes"] <= 60_000 for row in found.values())
    assert found["large.jpg"]["sent_width"] < 1536
    assert all(row["prompt_tokens"] == row["predicted_prompt_tokens"] for row in found.values())


async def test_or_is_a_row_that_says_whose_limit_it_was(photos: Path, emulator: Running) -> None:
    found = await rows(photos, emulator, model="gpt-4o", image_policy="original", max_sent_bytes=60_000)
    large = found["large.jpg"]
    assert (large["status"], large["reason"]) == ("failed", "too_large")
    assert "60,000 may be sent (max_sent_bytes of the job); choose an image policy" in large["message"]
    assert found["webp.jpg"]["status"] == "captioned"
    assert emulator.stats.requests == 2
