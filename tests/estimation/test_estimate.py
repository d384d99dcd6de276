"""The public function on real folders; bills are in test_bills.py."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from pipeline import Job, estimate, run_async
from pipeline.emulator.app import Running
from pipeline.errors import UnknownModel, UserError
from pipeline.estimation import DEFAULT_MODELS, Estimate
from pipeline.estimation.text import render_estimate
from pipeline.models import find_model
from tests.helpers.folders import write_jpegs


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_jpegs(tmp_path / "photos", 6)
    return tmp_path / "photos"


def job_of(photos: Path, out: Path | str = "", **options: object) -> Job:
    return Job.create(photos, out, **options)


def images_and_done(found: Estimate) -> dict[str, tuple[int, int]]:
    return {row.model: (row.images, row.done) for row in found.models}


def test_without_a_model_several_are_compared(photos: Path) -> None:
    found = estimate(job_of(photos))
    assert [row.model for row in found.models] == list(DEFAULT_MODELS)
    assert all(row.live_usd and row.batch_usd and row.images == 6 for row in found.models)


def test_the_models_of_the_comparison_can_be_asked_today() -> None:
    for model in map(find_model, DEFAULT_MODELS):
        assert not model.responses_only
        assert model.retired is None or model.retired > date(2026, 11, 21)


def test_the_model_of_the_job_or_those_asked_for(photos: Path) -> None:
    job = job_of(photos, model="azure:captions", azure_model="gpt-4o")
    assert [row.model for row in estimate(job).models] == ["azure:captions"]
    found = estimate(job, ["azure:captions", "gpt-5-mini"])
    assert [row.image_tokens for row in found.models] == [6 * 255, 6 * 8]


def test_nothing_is_written(photos: Path, tmp_path: Path) -> None:
    estimate(job_of(photos, tmp_path / "out", model="gpt-4o"))
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("models", "options", "said"),
    [
        (["gpt-4o-maxi"], {}, "Unknown model"),
        (["gpt-3.5-turbo"], {}, "takes no images"),
        (["gpt-4o"], {"detail": "original"}, "detail"),
        (["gpt-4o"], {"image_policy": "budget:-5"}, "above zero"),
        (["gpt-4o"], {"image_policy": "budget:5"}, "at most 5 tokens"),
        (["gpt-4o"], {"image_policy": "smallest"}, "optimal, economy"),
        (["compatible:x"], {"image_policy": "budget:500"}, "not known"),
    ],
)
def test_what_cannot_be_is_told_before_the_listing(models: Sequence[str], options: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        estimate(Job.create("/there/is/no/such/folder", "", **options), models)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent"):
        estimate(job_of(tmp_path / "absent"))


def test_near_names_of_a_model(photos: Path) -> None:
    with pytest.raises(UnknownModel, match="gpt-4o"):
        estimate(job_of(photos), ["openai:gpt-4oo"])


def test_the_limit_of_the_job_counts(photos: Path) -> None:
    found = estimate(job_of(photos, model="gpt-4o", limit=4))
    assert (found.models[0].images, found.survey.limited) == (4, True)
    assert "limit" in render_estimate(found)


@pytest.mark.integration
async def test_only_what_is_left_is_counted_for_each_model(photos: Path, tmp_path: Path, emulator: Running) -> None:
    job = job_of(photos, tmp_path / "out", model="gpt-4o", base_url=emulator.base_url)
    await run_async(job.overlay(limit=4))
    asked = emulator.stats.requests
    found = estimate(job, ["gpt-4o", "gpt-4o-mini"])
    assert images_and_done(found) == {"gpt-4o": (2, 4), "gpt-4o-mini": (6, 0)}
    assert (found.survey.left, found.survey.listed) == (6, 6), "of the listing it shows what most is left of"
    assert "4 answers in the output" in found.models[0].output_from
    assert found.models[0].output_from == found.models[1].output_from, "answers to the same prompt"
    (photos / "0001.jpg").write_bytes((photos / "0002.jpg").read_bytes())
    assert images_and_done(estimate(job)) == {"gpt-4o": (3, 3)}, "a changed file is asked again"
    assert images_and_done(estimate(job.overlay(rpm=5.0, concurrency=2))) == {"gpt-4o": (3, 3)}
    [other] = estimate(job.overlay(prompt="Tags.")).models
    assert (other.images, other.done) == (6, 0)
    assert "--replace" in other.notes[0]
    assert emulator.stats.requests == asked, "an estimate asks nobody"


@pytest.mark.integration
async def test_a_single_parquet_file_as_output(photos: Path, tmp_path: Path, emulator: Running) -> None:
    job = job_of(photos, tmp_path / "captions.parquet", model="gpt-4o", base_url=emulator.base_url)
    await run_async(job)
    assert images_and_done(estimate(job)) == {"gpt-4o": (0, 6)}


def test_the_stable_form(photos: Path) -> None:
    (photos / "empty.jpg").touch()
    document = json.loads(json.dumps(estimate(job_of(photos, rpm=600), ["gpt-4o", "compatible:x"]).to_dict()))
    assert {key: value for key, value in document.items() if key not in ("models", "bytes")} == {
        "listed": 7,
        "limited": False,
        "unreadable": {"truncated_file": 1},
        "sampled": None,
        "sizes": [{"from_megapixels": 0, "to_megapixels": 0.1, "images": 6}],
        "policy": "optimal",
        "detail": "high",
    }
    known, unknown = document["models"]
    assert known == {
        "model": "gpt-4o",
        "images": 6,
        "done": 0,
        "image_tokens": 1530,
        "requests": 6,
        "text_tokens": 102,
        "text_tokens_exact": True,
        "prompt_tokens": 1632,
        "output_tokens": {"low": 162, "expected": 270, "high": 1800},
        "output_from": "guessed from the kind of prompt",
        "live_usd": {"low": "0.005700000", "expected": "0.006780000", "high": "0.022080000"},
        "batch_usd": {"low": "0.002850000", "expected": "0.003390000", "high": "0.011040000"},
        "price_source": known["price_source"],
        "hours": {"low": 0.01 / 60, "expected": 0.01 / 60, "high": 0.01 / 60},
        "saved_tokens": 0,
        "saved_usd": "0.000000000",
        "original_bytes": document["bytes"],
        "sent_bytes": document["bytes"],
        "economy_tokens": None,
        "margin_tokens": 0,
        "margin_usd": "0.000000000",
        "notes": [],
    }
    assert unknown["image_tokens"] is None
    assert unknown["live_usd"] is None


def test_the_same_sample_every_time(photos: Path) -> None:
    job = job_of(photos, model="gpt-4o")
    assert estimate(job, sample=3).to_dict() == estimate(job, sample=3).to_dict()
    assert estimate(job, sample=3).to_dict()["sampled"] == 3
