import json
from pathlib import Path

import pytest

from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.called import called
from tests.helpers.command import Ended, nightcap
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_jpegs(tmp_path / "photos", 2)
    return tmp_path / "photos"


def findings(ended: Ended) -> dict[str, tuple[int, str]]:
    return {check["name"]: (check["exit_code"], check["text"]) for check in json.loads(ended.out)}


def test_the_offline_describer_needs_nothing(photos: Path, tmp_path: Path) -> None:
    ended = called("doctor", photos, "-o", tmp_path / "out")
    assert ended.code == 0, ended.out
    assert [line.split()[:2] for line in ended.out.splitlines()] == [
        ["ok", "source"],
        ["ok", "model"],
        ["ok", "describer"],
        ["ok", "output"],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["photos"], "looking leaves no trace"


def test_packs_that_nobody_takes_are_found_before_the_night() -> None:
    arguments = ("doctor", "-m", "gpt-4o", "--base-url", "http://127.0.0.1:1/v1", "--max-tokens", "20", "--json")
    code, told = findings(called(*arguments, "--pack", "501"))["pack"]
    assert code == 2
    assert "at most 500 " in told
    assert findings(called(*arguments, "--pack", "500"))["pack"][0] == 0


def test_what_a_run_would_refuse_is_found_before_the_night(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("doctor", photos, "--json", "--video", "--group-by", "folder")
    assert findings(called(*arguments, "-m", "gpt-4o"))["groups"][0] == 0
    code, told = findings(called(*arguments))["groups"]
    assert (code, "takes 1 " in told) == (2, True)
    assert "at most 20, at detail low" in findings(called(*arguments, "-m", "gpt-4o"))["videos"][1]
    monkeypatch.setattr("pipeline.videos.opening.find_spec", lambda name: None)
    assert findings(called(*arguments))["videos"] == (
        2,
        "Reading videos needs an optional dependency: pip install 'nightcap[video]'.",
    )


def test_a_language_that_nobody_knows(photos: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text("[source]\npaths = ['photos']\n[run]\nlanguage = 'xx'\n")
    code, told = findings(called("doctor", job, "--json"))["language"]
    assert (code, told.split(";")[0]) == (2, "The language 'xx' is not known")


def test_every_trouble_is_named_at_once(tmp_path: Path) -> None:
    ended = called("doctor", tmp_path / "absent", "-o", "s3://bucket/out", "-m", "gpt-4oo", "--json")
    assert ended.code == 2
    found = findings(ended)
    assert {name for name, (code, _) in found.items() if code} == {"source", "model", "credentials", "output"}
    assert "Did you mean" in found["model"][1]
    assert "OPENAI_API_KEY" in found["credentials"][1]


def test_without_a_source_only_what_is_named_is_looked_at(tmp_path: Path) -> None:
    assert set(findings(called("doctor", "--json"))) == {"model", "describer"}
    assert set(findings(called("doctor", "-o", tmp_path, "--json"))) == {"model", "describer", "output"}


def test_a_job_file_without_a_source_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("out = 'out'\n")
    ended = called("doctor", tmp_path / "job.toml", "--json")
    assert findings(ended)["source"][0] == ended.code == 2


def test_an_empty_folder(tmp_path: Path) -> None:
    ended = called("doctor", tmp_path, "-o", tmp_path / "out", "--json")
    assert findings(ended)["source"] == (2, f"{tmp_path} holds no image that is to be captioned; videos want --video.")


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("openai:o1-pro", 2, "Responses API alone"),
        ("gpt-4.5-preview", 0, "retired on 2025-07-14"),
        ("gpt-5-mini", 0, "reasons before it answers, within max_tokens = 300"),
        ("compatible:mine", 0, "not predictable, its price is unknown"),
        ("gpt-4o", 0, "a 1024x1024 image is 765 tokens, its price is known"),
    ],
)
def test_models(model: str, code: int, said: str) -> None:
    found = findings(called("doctor", "-m", model, "--json"))["model"]
    assert found[0] == code
    assert said in found[1]


@pytest.mark.parametrize("arguments", [("--detail", "huge"), ("--image-policy", "budget:-1")])
def test_a_wrong_request(arguments: tuple[str, ...]) -> None:
    assert findings(called("doctor", "-m", "gpt-4o", *arguments, "--json"))["model"][0] == 2


def test_an_output_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = called("doctor", "-o", tmp_path / "file" / "out", "--json")
    assert ended.code == 2
    assert "cannot be used" in findings(ended)["output"][1]


@pytest.mark.integration
async def test_an_endpoint_that_answers(emulator: Running, photos: Path, tmp_path: Path) -> None:
    common = ("doctor", photos, "-o", tmp_path / "out", "-m", "gpt-4o", "--json")
    fine = await nightcap(*common, "--base-url", emulator.base_url)
    assert fine.code == 0, fine.out
    assert "answers and accepts the key" in findings(fine)["endpoint"][1]
    absent = await nightcap(*common, "--base-url", "http://127.0.0.1:9/v1")
    assert absent.code == findings(absent)["endpoint"][0] == 3


@pytest.mark.integration
async def test_a_key_that_is_refused_and_never_shown() -> None:
    async with emulate(EmulatorOptions(api_key="right")) as strict:
        ended = await nightcap(
            *("doctor", "-m", "gpt-4o", "--base-url", strict.base_url), env={"OPENAI_API_KEY": "sk-wrong-000"}
        )
    assert ended.code == 3
    assert "NO endpoint" in ended.out
    assert "sk-wrong" not in ended.out + ended.err
