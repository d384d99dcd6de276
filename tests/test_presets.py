"""Presets fill in a job, and give way to what it says itself."""

from pathlib import Path

import pytest

from pipeline import Job
from pipeline.api.structured.reading import Invalid, read_answer
from pipeline.api.structured.shape import shape_of
from pipeline.errors import UserError
from pipeline.presets import PRESETS, load_preset, usual_answer_tokens


def test_there_are_those_that_the_readme_names() -> None:
    assert PRESETS == ("alt_text", "caption", "dense_caption", "ocr", "tags", "training_caption")


@pytest.mark.parametrize("name", PRESETS)
def test_each_makes_a_job(name: str) -> None:
    preset, model = load_preset(name), Job().overlay(preset=name).model
    assert (model.prompt, model.max_tokens, model.system) == (preset.prompt, preset.max_tokens, preset.system)
    assert (model.schema is None) == (preset.schema is None)
    assert usual_answer_tokens(model.prompt) == preset.answer_tokens < preset.max_tokens
    assert "\n" not in preset.prompt


def test_caption_is_what_is_asked_without_one() -> None:
    assert Job().overlay(preset="caption").request_hash == Job().request_hash


def test_what_the_job_says_goes_before() -> None:
    model = Job().overlay(max_tokens=77).overlay(preset="tags", prompt="Tags?").model
    assert (model.prompt, model.max_tokens) == ("Tags?", load_preset("tags").max_tokens)
    assert Job().overlay(max_tokens=77, preset="tags").model.max_tokens == 77


def test_in_a_job_file(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type": "object", "properties": {"title": {"type": "string"}}}')
    file = tmp_path / "job.toml"
    file.write_text('[model]\npreset = "ocr"\nmax_tokens = 99\n')
    job = Job.load(file)
    assert (job.model.prompt, job.model.max_tokens) == (load_preset("ocr").prompt, 99)
    assert job.overlay(preset="caption").request_hash == Job().request_hash, (
        "a later preset replaces the whole question"
    )
    file.write_text('[model]\nschema = "s.json"\n')
    assert '"title"' in str(Job.load(file).model.schema)
    file.write_text('[model]\npreset = "alttext"\n')
    with pytest.raises(UserError, match="did you mean 'alt_text'"):
        Job.load(file)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("A cat asleep on a red sofa.", True),
        ("A" * 160, True),
        ("A" * 161, False),
        ("", False),
        ("Image of a cat.", False),
        ("A photo of a cat.", False),
        ("Photographs of cats hang on a wall.", True),
    ],
)
def test_alternative_texts_keep_to_the_guidance(text: str, fits: bool) -> None:
    shape = shape_of(Job().overlay(preset="alt_text").model.schema)
    assert shape is not None
    assert isinstance(read_answer(f'{{"alt_text": "{text}"}}', shape), Invalid) != fits
