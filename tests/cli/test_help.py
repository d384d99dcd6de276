"""The help of long commands, and the choices in it, which the command line writes down without loading the rooms."""

import re
from typing import Literal, get_args, get_origin, get_type_hints

import click
import pytest

from pipeline.api.options import ModelOptions
from pipeline.cli import nightcap
from tests.helpers.called import called

CHOICES = {
    option.name: tuple(option.type.choices)
    for option in nightcap.commands["run"].params
    if isinstance(option.type, click.Choice)
}


def test_every_option_stands_once_under_a_heading() -> None:
    _, *told = called("run", "--help").out.partition("\nOptions:")
    text = "".join(told)
    options = [option for option in nightcap.commands["run"].params if isinstance(option, click.Option)]
    assert len(options) > 50
    for option in options:
        assert len(re.findall(rf"^  (?:-\w, )?{option.opts[-1]}\b(?!-)", text, re.MULTILINE)) == 1, option.opts
    headings = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    assert headings == ["Options", "Model", "Question", "Pictures sent", "Videos", "Which images", "Limits"]


@pytest.mark.parametrize("name", ["enhance_with", "frames_at", "send", "video_access"])
def test_choices_are_those_of_the_job(name: str) -> None:
    hint = get_type_hints(ModelOptions)[name]
    assert get_origin(hint) is Literal
    assert CHOICES[name] == get_args(hint)
