"""What groups of images are estimated to cost is what they are billed."""

import random
from pathlib import Path

import pytest

from pipeline import Job, estimate, run_async
from pipeline.emulator.app import Running
from pipeline.estimation.headers import HeaderReader
from pipeline.estimation.survey import survey_listing
from pipeline.estimation.text import render_estimate
from pipeline.images import ImageOptions
from pipeline.sources.groups.source import Grouped
from tests.helpers.pictures import encoded, photo
from tests.helpers.remote import RemoteListing
from tests.helpers.rows import rows_of


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Groups of different sizes and names, one of them broken, and an image by itself."""
    root = tmp_path / "photos"
    for folder, sizes in {"a": [(600, 400), (1400, 900)], "b/long name": [(100, 100)] * 3, "c": [(2100, 800)]}.items():
        (root / folder).mkdir(parents=True)
        for number, size in enumerate(sizes):
            (root / folder / f"view {number}.jpg").write_bytes(encoded(photo(*size, seed=number)))
    (root / "broken").mkdir()
    (root / "broken" / "x.jpg").write_bytes(b"no image")
    (root / "broken" / "y.jpg").write_bytes(encoded(photo(64, 64)))
    (root / "alone.jpg").write_bytes(encoded(photo(640, 480)))
    return root


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1-mini"])
async def test_it_is_what_was_billed(photos: Path, emulator: Running, model: str) -> None:
    job = Job.create(
        photos, photos.parent / "out", model=f"openai:{model}", base_url=emulator.base_url,
        group_by="pattern:(.+)/.*", prompt="What do they have in common?",
    )  # fmt: skip
    told = estimate(job)
    await run_async(job)
    rows = rows_of(job.out).values()
    [row] = told.models
    assert (row.images, row.requests, row.text_tokens_exact) == (4, 4, True)
    assert row.prompt_tokens == sum(each["prompt_tokens"] or 0 for each in rows)
    assert row.image_tokens == sum(each["predicted_image_tokens"] or 0 for each in rows)
    assert told.survey.unreadable == {"unsupported_format": 1}
    assert "4 rows, 3 of them groups of 6 images, of 5 listed to caption" in render_estimate(told)
    [left] = estimate(job).models
    assert (left.images, left.prompt_tokens) == (0, 0)


def test_groups_that_no_request_holds_are_failed_rows(photos: Path) -> None:
    job = Job.create(photos, photos.parent / "out", model="azure:d", azure_model="gpt-4-turbo", group_by="folder")
    for number in range(11):
        (photos / "a" / f"{number}.jpg").write_bytes(encoded(photo(64, 64)))
    assert estimate(job).survey.unreadable == {"too_large": 1, "unsupported_format": 1}


def test_a_sample_of_groups_stands_for_all(photos: Path) -> None:
    job = Job.create(photos, photos.parent / "out", model="openai:gpt-4o", group_by="pattern:(b/.*|a)/.*")
    for number in range(200):
        (photos / "b" / str(number)).mkdir()
        for view in range(2):
            (photos / "b" / str(number) / f"{view}.jpg").write_bytes(encoded(photo(64, 64)))
    [whole], [part] = estimate(job).models, estimate(job, sample=60).models
    assert not part.text_tokens_exact
    assert part.prompt_tokens == pytest.approx(whole.prompt_tokens, rel=0.2)


def test_headers_far_away_are_read_of_each_member() -> None:
    files = {"a/1.jpg": encoded(photo(64, 48)), "a/2.jpg": encoded(photo(48, 64)), "b/1.jpg": encoded(photo(64, 48))}
    source = RemoteListing(files)
    grouped = Grouped(source, "folder")
    [survey] = survey_listing(grouped, HeaderReader(grouped, ImageOptions(), 10**9), [None], random.Random(0))
    assert survey.sizes == {(48, 64, True): 1, (64, 48, True): 2}
    assert survey.groups == {((48, 64, True), (64, 48, True)): 1, ((64, 48, True),): 1}
    assert source.attempts == dict.fromkeys(files, 1)
