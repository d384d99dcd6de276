"""Pictures that look alike share a caption where the job wants it, and their rows say so."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.engine.asking import near
from pipeline.engine.asking.near import Likeness, NearDuplicates
from pipeline.engine.asking.reuse import Reuse
from pipeline.engine.record import NEAR_DUPLICATE, Asked, to_record
from pipeline.errors import UserError
from pipeline.job import Job, run_async
from tests.engine.making import MemoryStore, answer, context, reply, request
from tests.helpers.clock import FakeClock
from tests.helpers.rows import rows_of
from tests.helpers.servers import emulate

SAMPLE_DATA = Path(__file__).parents[3] / "sample_data"


def flipped(fingerprint: bytes, bits: int) -> bytes:
    return (int.from_bytes(fingerprint[:8]) ^ ((1 << bits) - 1)).to_bytes(8) + fingerprint[8:]


@given(st.integers(0, 16), st.integers(0, 16), st.integers(0, 32))
def test_near_is_what_differs_in_few_bits_and_hardly_in_colour(most: int, bits: int, levels: int) -> None:
    known = NearDuplicates(most)
    seen = bytes(range(8)) + bytes([100] * 48)
    known.add(bytes([255] * 8) + bytes(48), "other")
    known.add(seen, "seen")
    asked = flipped(seen, bits)[:-1] + bytes([100 + levels])
    assert known.find(asked) == (Likeness("seen", bits) if bits <= most and levels <= 16 else None)


def test_the_nearest_counts_and_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "REMEMBERED", 3)
    known, first = NearDuplicates(8), os.urandom(56)
    known.add(flipped(first, 5), "five")
    known.add(flipped(first, 2), "two")
    assert known.find(first) == Likeness("two", 2)
    for name in ("x", "y"):
        known.add(os.urandom(8) + bytes([200 if first[8] < 100 else 0] * 48), name)
    assert known.find(first) == Likeness("two", 2)
    known.add(os.urandom(8) + bytes([200 if first[8] < 100 else 0] * 48), "z")
    assert known.find(first) is None


async def test_a_likeness_of_long_ago_is_found_in_the_output() -> None:
    """The last answers alone are in memory; what a picture looked like is remembered longer."""
    look = bytes(range(56))
    before = to_record(Asked(request("old.jpg"), answer(reply("Paid for."))), context())
    with ThreadPoolExecutor(1) as disk:
        reuse = Reuse(MemoryStore(rows=[before]), disk, context(), FakeClock(), near=NearDuplicates(4))
        assert not reuse.follow(replace(request("old.jpg"), fingerprint=look))
        found = await reuse.find(replace(request("new.jpg"), fingerprint=flipped(look, 3)))
        assert found is not None
        assert found.caption == "Paid for."
        assert found.metadata == dict(zip(NEAR_DUPLICATE, ("old.jpg", "3"), strict=True))
        assert await reuse.find(replace(request("other.jpg"), fingerprint=flipped(look, 5))) is None


async def run(photos: Path, url: str, **options: Any) -> dict[str, dict[str, Any]]:
    job = Job.create(photos, photos.parent / "out", model="openai:gpt-4o", base_url=url, concurrency=1, **options)
    await run_async(job)
    return rows_of(job.out)


@pytest.mark.integration
async def test_a_thumbnail_shares_the_caption_and_says_so(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("astronaut.jpg", "horse.png"):
        shutil.copy(SAMPLE_DATA / name, photos)
    image = Image.open(SAMPLE_DATA / "astronaut.jpg").convert("RGB")
    image.resize((200, 200)).save(photos / "thumbnail.jpg", quality=60)
    Image.fromarray(np.asarray(image)[..., [1, 2, 0]].copy()).save(photos / "recoloured.jpg")
    async with emulate() as server:
        rows = await run(photos, server.base_url, near_duplicates=4)
        assert server.stats.requests == 3
        thumbnail, astronaut = rows["thumbnail.jpg"], rows["astronaut.jpg"]
        assert (thumbnail["caption"], thumbnail["mode"]) == (astronaut["caption"], "reused")
        assert (thumbnail["width"], thumbnail["cost_usd"]) == (200, 0)
        assert thumbnail["content_hash"] != astronaut["content_hash"]
        marks = dict(thumbnail["metadata"])
        assert marks.pop("near_duplicate_of") == "astronaut.jpg"
        assert 0 <= int(marks.pop("near_duplicate_bits")) <= 4
        assert not marks
        assert rows["recoloured.jpg"]["mode"] == "live"
        shutil.move(photos / "thumbnail.jpg", photos / "moved.jpg")
        moved = (await run(photos, server.base_url))["moved.jpg"]
        assert (moved["mode"], moved["metadata"]) == ("reused", thumbnail["metadata"]), "a copy of a copy says so too"
        assert server.stats.requests == 3


@pytest.mark.integration
async def test_off_unless_asked_for(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    image = Image.open(SAMPLE_DATA / "astronaut.jpg").convert("RGB")
    for quality in (60, 80):
        image.resize((200, 200)).save(photos / f"{quality}.jpg", quality=quality)
    async with emulate() as server:
        await run(photos, server.base_url)
        assert server.stats.requests == 2


def test_too_many_bits_are_refused() -> None:
    with pytest.raises(UserError, match="near_duplicates is 40"):
        Job.create("photos", "out", near_duplicates=40)
