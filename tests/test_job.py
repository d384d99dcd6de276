"""Job files: validated with the nearest right name, overlaid by flat options, fingerprinted by what decides answers."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.job import Job

JOBS = Path(__file__).parent.parent / "jobs"


def write(folder: Path, text: str) -> Path:
    path = folder / "job.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.toml")), ids=lambda p: p.name)
def test_every_job_file_of_ours_is_valid(path: Path) -> None:
    plan = Job.load(path).plan()
    assert plan.source.paths
    assert Path(plan.out).is_absolute() or "://" in plan.out


@pytest.mark.parametrize(
    ("text", "wrong", "right"),
    [
        ("[model]\nprompts = 'x'", "prompts", "prompt"),
        ("[limit]\nrpm = 5", "limit", "limits"),
        ("[limits]\nrmp = 5", "rmp", "rpm"),
        ("outt = 'x'", "outt", "out"),
    ],
)
def test_a_wrong_key_is_named_with_the_nearest_right_one(tmp_path: Path, text: str, wrong: str, right: str) -> None:
    with pytest.raises(UserError) as caught:
        Job.load(write(tmp_path, text))
    assert f"Unknown key '{wrong}'" in str(caught.value)
    assert f"'{right}'" in str(caught.value)
    assert "job.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits]\nconcurrency = 'many'", "limits.concurrency"),
        ("model = 'openai:gpt-4o'", "write [model]"),
        ("[limits\n", "cannot be read"),
        ("[model]\nmax_tokens = 0", "max_tokens"),
        ("[limits]\nrpm = 0", "rpm"),
        ("[limits]\nrpm = nan", "rpm"),
        ("[limits]\nconcurrency = 0", "concurrency"),
        ("[run]\nlimit = -1", "limit"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        Job.load(write(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_job_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no job file .*absent"):
        Job.load(tmp_path / "absent.toml")


def test_paths_are_relative_to_the_job_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "year=2024").mkdir()
    path = write(tmp_path, "out = 'result'\n[source]\npaths = ['photos', '/abs', 's3://bucket/x', 'a=b', 'year=2024']")
    monkeypatch.chdir("/")
    job = Job.load(path)
    assert job.out == str(tmp_path / "result")
    assert job.source.paths == (
        str(tmp_path / "photos"), "/abs", "s3://bucket/x", f"a={tmp_path}/b", str(tmp_path / "year=2024"),
    )  # fmt: skip


def test_the_command_line_overlays_the_file(tmp_path: Path) -> None:
    job = Job.load(write(tmp_path, "out = 'a'\n[model]\nname = 'openai:gpt-4o'\nprompt = 'one'\n[limits]\nrpm = 5"))
    changed = job.overlay(prompt="two", rpm=None, concurrency=7, out="b")
    assert (changed.model.prompt, changed.model.name) == ("two", "openai:gpt-4o")
    assert (changed.limits.rpm, changed.limits.concurrency, changed.out) == (5, 7, "b")
    assert job.model.prompt == "one"


def test_create_takes_flat_names() -> None:
    job = Job.create("photos", "captions", model="openai:gpt-4o", rpm=500, jpeg_quality=90)
    assert (job.source.paths, job.out) == (("photos",), "captions")
    assert (job.model.name, job.limits.rpm, job.image.jpeg_quality) == ("openai:gpt-4o", 500, 90)
    with pytest.raises(UserError, match="Did you mean 'prompt'"):
        Job.create("photos", "captions", promt="x")


def test_a_job_without_source_or_output_says_so() -> None:
    with pytest.raises(UserError, match="no source"):
        Job().overlay(out="x").plan()
    with pytest.raises(UserError, match="no output"):
        Job().overlay(paths=["x"]).plan()


BASE = Job.create("photos", "captions", model="openai:gpt-4o")


@pytest.mark.parametrize(
    "change",
    [
        {"model": "openai:gpt-4o-mini"},
        {"model": "compatible:gpt-4o"},
        {"prompt": "else"},
        {"system": "s"},
        {"detail": "low"},
        {"max_tokens": 5},
        {"image_policy": "economy"},
        {"max_shrink": 0.1},
        {"jpeg_quality": 70},
        {"frames": 5},
        {"frames_at": "scenes"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_what_decides_an_answer_changes_the_request_hash(change: dict[str, object]) -> None:
    assert BASE.overlay(**change).request_hash != BASE.request_hash


@pytest.mark.parametrize(
    "change",
    [
        {"rpm": 5},
        {"concurrency": 3},
        {"out": "else"},
        {"paths": ["else"]},
        {"base_url": "http://else/v1"},
        {"limit": 3},
        {"rows_per_part": 10},
        {"name": "gpt-4o"},
        {"detail": "high"},
        {"video": True},
    ],
    ids=lambda c: next(iter(c)),
)
def test_limits_and_places_do_not(change: dict[str, object]) -> None:
    assert BASE.overlay(**change).request_hash == BASE.request_hash


@pytest.mark.parametrize("named", [{"video": True}, {"paths": ["a.mp4"]}, {"include": ["clips/*.MOV"]}])
def test_frames_looked_at_closely_are_another_request(named: dict[str, object]) -> None:
    """For images `high` is what they have anyway, for frames it is not."""
    videos = BASE.overlay(**named)
    assert videos.overlay(detail="low").request_hash != videos.overlay(detail="high").request_hash
    assert videos.overlay(detail="high").request_hash != videos.request_hash


def test_a_deployment_is_known_by_its_model() -> None:
    east, west = (Job.create("p", "o", model=f"azure:{name}", azure_model="gpt-4o") for name in ("east", "west"))
    assert east.request_hash == west.request_hash


POOL = """
out = "out"
[source]
paths = ["photos"]
[model]
name = "azure:one"
azure_model = "gpt-4o"
"""


def test_which_endpoint_answers_changes_no_request(tmp_path: Path) -> None:
    alone, entries = (
        Job.load(write(tmp_path, POOL)),
        ['model = "azure:two"', 'model = "openai:gpt-4o"', 'key_env = "K"'],
    )
    for order in (entries, entries[::-1], entries[:1]):
        text = POOL + "".join(f"[[endpoint]]\n{entry}\nrpm = 60\n" for entry in order)
        assert Job.load(write(tmp_path, text)).request_hash == alone.request_hash


def test_a_pool_as_one_endpoint_allows_what_all_do(tmp_path: Path) -> None:
    job = Job.load(
        write(tmp_path, POOL + "[[endpoint]]\nrpm = 60\ntpm = 1000\n[[endpoint]]\nmodel='azure:x'\nrpm = 30\n")
    )
    one = job.as_one()
    assert (one.limits.rpm, one.limits.tpm, one.endpoint) == (90, None, ())
    assert one.request_hash == job.request_hash
    assert one.as_one() is one


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("[[endpoint]]\nmodle = 'azure:x'\n", "Did you mean 'model'"),
        ("[endpoint]\nmodel = 'azure:x'\n", "two brackets"),
        ("[[endpoint]]\nrpm = 'many'\n", "endpoint.0.rpm"),
    ],
)
def test_a_wrong_endpoint_is_named(entry: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Job.load(write(tmp_path, POOL + entry))
    assert words in str(caught.value)


def test_a_budget_is_exact_and_survives_being_written_down() -> None:
    job = Job.create("photos", "out", model="gpt-4o", max_cost=0.1)
    assert job.run.max_cost == Decimal("0.1")
    assert json.loads(json.dumps(job.to_document()))["run"]["max_cost"] == "0.1"
    assert job.overlay(limit=5).run.max_cost == Decimal("0.1")
    for wrong in (0, -1, "much"):
        with pytest.raises(UserError, match="max_cost"):
            Job.create("photos", "out", max_cost=wrong)


def test_the_job_of_an_output_is_found_from_anywhere_and_without_what_limited_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    job = Job.create("photos", "out", limit=3, deadline="06:00", prompt="Well?", max_cost="5")
    state = tmp_path / "out" / "_nightcap"
    state.mkdir(parents=True)
    (state / "job.json").write_text(json.dumps(job.plan().document, default=str))
    monkeypatch.chdir("/")
    again = Job.of_output(tmp_path / "out")
    assert again.source.paths == (str(tmp_path / "photos"),)
    assert (again.run.limit, again.run.deadline, again.run.max_cost) == (None, None, 5)
    assert again.request_hash == job.request_hash
    (state / "job.json").unlink()
    with pytest.raises(UserError, match="does not say how it was made"):
        Job.of_output(tmp_path / "out")
