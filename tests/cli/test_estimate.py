import json
from pathlib import Path

import pytest

from pipeline.emulator.app import Running
from tests.helpers.called import called
from tests.helpers.command import nightcap
from tests.helpers.folders import write_jpegs

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_jpegs(tmp_path / "photos", 4, 1200, 800)
    return tmp_path / "photos"


def test_a_comparison_of_models_as_text() -> None:
    ended = called("estimate", SAMPLE_DATA)
    assert (ended.code, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= 100
    assert ended.out.startswith("12 images to caption")
    [row] = [line for line in ended.out.splitlines() if line.startswith("openai:gpt-4o ")]
    assert row.split()[1] == "5,610"
    assert "█" in ended.out


def test_one_model_as_json(photos: Path) -> None:
    ended = called("estimate", photos, "-m", "gpt-4o", "--rpm", "60", "--max-tokens", "100", "--json")
    [row] = json.loads(ended.out)["models"]
    assert (row["model"], row["images"], row["image_tokens"]) == ("gpt-4o", 4, 4 * 1105)
    assert row["output_tokens"]["high"] == 400
    assert row["hours"]["expected"] == pytest.approx(4 / 60 / 60)


def test_economy_says_what_it_saves_beforehand(photos: Path) -> None:
    optimal = called("estimate", photos, "-m", "gpt-4o")
    assert "--image-policy economy would take 3,060 image tokens, 31% less." in optimal.out
    economy = called("estimate", photos, "-m", "gpt-4o", "--image-policy", "economy")
    assert "economy saves 1,360 image tokens, 31% ($0.0034)" in economy.out


def test_several_models_in_the_order_asked(photos: Path) -> None:
    ended = called("estimate", photos, "-m", "gpt-5-mini", "-m", "azure:gpt-4o", "--json")
    assert [row["model"] for row in json.loads(ended.out)["models"]] == ["gpt-5-mini", "azure:gpt-4o"]


def test_a_deployment_with_the_model_behind_it(photos: Path) -> None:
    ended = called("estimate", photos, "-m", "azure:captions", "--azure-model", "gpt-4o", "--json")
    [row] = json.loads(ended.out)["models"]
    assert (row["model"], row["image_tokens"]) == ("azure:captions", 4 * 1105)


def test_a_job_file(photos: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text("out = 'out'\n[source]\npaths = ['photos']\n[model]\nname = 'gpt-4o'\n[run]\nlimit = 3\n")
    assert json.loads(called("estimate", job, "--json").out)["models"][0]["images"] == 3
    assert json.loads(called("estimate", job, "--limit", "2", "--json").out)["models"][0]["images"] == 2


def test_a_sample(photos: Path) -> None:
    ended = called("estimate", photos, "-m", "gpt-4o", "--sample", "2", "--json")
    assert json.loads(ended.out)["sampled"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-m", "gpt-4oo"), "Did you mean"),
        (("-m", "gpt-3.5-turbo"), "takes no images"),
        (("-m", "gpt-4o", "--detail", "huge"), "low, high or auto"),
        (("-m", "gpt-4o", "--image-policy", "budget:-800"), "above zero"),
        (("--sample", "0"), "--sample"),
        (("--rpm", "-5"), "--rpm"),
        (("--max-tokens", "0"), "--max-tokens"),
        (("--modle", "gpt-4o"), "--model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_command_is_one_sentence(photos: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = called("estimate", photos, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    ended = called("estimate", tmp_path / "absent")
    assert (ended.code, "absent" in ended.err) == (2, True)


@pytest.mark.parametrize("options", [("-m", "gpt-4o"), ()])
def test_a_dry_run_says_what_the_run_would_take_and_writes_nothing(
    photos: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    command = ("run", photos, "-o", tmp_path / "out", "--dry-run", "--limit", "3", *options)
    ended = called(*command, "--json")
    assert ended.code == 0, ended.err
    [row] = json.loads(ended.out)["models"]
    assert (row["model"], row["images"]) == (options[1] if options else "builtin:describe", 3)
    assert "3 images" in called(*command).out
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_dry_run_wants_what_the_run_wants(photos: Path) -> None:
    ended = called("run", photos, "--dry-run", "-m", "gpt-4o")
    assert (ended.code, "-o OUT" in ended.err) == (2, True)


@pytest.mark.integration
async def test_what_is_left_of_an_output(emulator: Running, photos: Path, tmp_path: Path) -> None:
    asked = ("-o", tmp_path / "out", "-m", "gpt-4o")
    await nightcap("run", photos, *asked, "--base-url", emulator.base_url, "--limit", "3")
    ended = called("estimate", photos, *asked, "--json")
    [row] = json.loads(ended.out)["models"]
    assert (row["images"], row["done"]) == (1, 3)
    assert "3 answers" in row["output_from"]
    assert "1 image of 4 listed" in called("estimate", photos, *asked).out


@pytest.mark.integration
async def test_piped_to_a_reader_that_cannot_show_everything(photos: Path) -> None:
    ended = await nightcap("estimate", photos, "-m", "gpt-4o", env={"PYTHONIOENCODING": "latin-1"})
    assert ended.code == 0, ended.err
    assert "????" in ended.out
