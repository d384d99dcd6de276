"""Videos of an index, estimated: the guide's example, and what is not asked about."""

from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.estimation import Estimate, estimate
from pipeline.job import Job
from pipeline.models import find_model, prompt_tokens

GUIDE = Decimal("0.03025")
# A prompt of 100 tokens, as the guide's example has it: 93 of its own and 7 of its frame.
PROMPT = "Describe" + " it" * 92


@pytest.fixture(autouse=True)
def _azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_VERSION", "2023-12-01-preview")


def estimated(tmp_path: Path, rows: str, **options: object) -> Estimate:
    (tmp_path / "videos.csv").write_text("url,duration\n" + rows)
    given = {"model": "azure:gpt4v", "azure_model": "gpt-4-vision-preview", "video_index": "videos", **options}
    return estimate(Job.create(tmp_path / "videos.csv", tmp_path / "out", **given))


def test_the_guides_example(tmp_path: Path) -> None:
    assert prompt_tokens(find_model("azure:gpt-4-vision-preview"), "", PROMPT, (0,)) == 100
    [row] = estimated(tmp_path, "https://acme.example/a.mp4,180\n", prompt=PROMPT, max_tokens=100).models
    assert (row.image_tokens, row.prompt_tokens, row.output_tokens.high) == (1700, 1900, 100)
    assert row.live_usd
    assert row.live_usd.high == GUIDE
    assert any("3.0 minutes, costs $0.15 once" in note for note in row.notes)
    assert any("$0.00825 of a video's cost" in note for note in row.notes)


def test_each_video_is_counted_and_nothing_read(tmp_path: Path) -> None:
    found = estimated(tmp_path, "".join(f"https://acme.example/{n}.mp4,\n" for n in range(5)) + ",\n", limit=3, rpm=6)
    [row] = found.models
    assert (row.images, row.requests, found.survey.limited) == (3, 3, True)
    assert row.hours
    assert row.hours.expected == pytest.approx(3 / 6 / 60)


def test_rows_that_name_no_video(tmp_path: Path) -> None:
    found = estimated(tmp_path, "https://acme.example/a.mp4,\n,\n")
    assert found.to_dict()["unreadable"] == {"invalid_row": 1}
    assert found.models[0].images == 1


@pytest.mark.parametrize(
    ("models", "sample", "told"),
    [(("azure:a", "azure:b"), None, "one model"), ((), 5, "sample"), (("openai:gpt-4o",), None, "is another")],
)
def test_what_means_nothing(tmp_path: Path, models: tuple[str, ...], sample: int | None, told: str) -> None:
    (tmp_path / "videos.txt").write_text("https://acme.example/a.mp4\n")
    job = Job.create(tmp_path / "videos.txt", "out", model="azure:gpt4v", azure_model="gpt-4-vision-preview",
                     video_index="videos")  # fmt: skip
    with pytest.raises(UserError, match=told):
        estimate(job, models, sample)
