"""What the README says is true: its commands parse, its Python runs, its tables name what exists."""

import ast
import asyncio
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import pipeline
from pipeline.api.endpoint import catalogue_name
from pipeline.cli import nightcap
from pipeline.cli.common.options import read_job
from pipeline.emulator.app import Running
from pipeline.engine.stats import EXIT_CODES
from pipeline.models import find_model
from tests.helpers.folders import write_jpegs

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[str]:
    """Every line, or piece of code within a sentence, that calls the command."""
    for block in blocks("sh"):
        for line in block.splitlines():
            yield from (part.strip(" &") for part in line.split("&&") if re.match(r"\s*(\.venv/bin/)?nightcap ", part))
    yield from re.findall(r"`(nightcap [^`]+)`", README)


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose first heading is this."""
    [rows] = re.findall(rf"^\| {heading} \|.*\n\| ---.*\n((?:\|.*\n)+)", README, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows.splitlines()]


def parse(words: list[str]) -> click.Context:
    """The context of a command line; raises click.ClickException for one that is not understood."""
    command: click.Command = nightcap
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
    return command.make_context(name, words)


def test_there_are_commands_to_check() -> None:
    assert len(list(commands())) >= 7
    assert len(blocks("python")) >= 3


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_is_understood(command: str) -> None:
    parse(shlex.split(command, comments=True)[1:])


def test_the_first_screen_is_what_the_checks_run() -> None:
    """`.ci/run` takes the test command from here, so it must be there once, and on its own line."""
    pattern = re.search(r"grep -m1 -E '([^']+)' README.md", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert pattern is not None
    first, *others = [line for line in README.splitlines() if re.search(pattern[1], line)]
    assert others == []
    assert first in blocks("sh")[0].splitlines()
    for line in blocks("sh")[0].splitlines():
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        [extras] = re.findall(r"'\.\[(.+?)\]'", line)
        assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()
    assert (ROOT / "sample_data").is_dir()


def test_the_first_command_captions_the_samples_offline() -> None:
    [command] = [command for command in commands() if "sample_data" in command]
    given = parse(shlex.split(command)[1:]).params
    assert read_job(given.pop("sources"), {"out": given["out"]}).model.name == "builtin:describe"


@pytest.mark.parametrize("row", table("endpoint"), ids=lambda row: row[0])
def test_the_models_of_the_table_are_known(row: list[str]) -> None:
    for words in re.findall(r"`([^`]+)`", row[1]):
        given = parse(["run", "photos", "-o", "captions", "-m", *words.split()]).params
        chosen = {name: given[name] for name in ("model", "azure_model", "base_url")}
        assert find_model(catalogue_name(read_job(("photos",), chosen).model))


@pytest.mark.parametrize("row", table("guide"), ids=lambda row: row[1])
def test_every_capability_of_a_guide_has_a_command_and_a_test(row: list[str]) -> None:
    guides, _, command, proof = row
    assert set(guides.split()) <= set("ABCDE")
    parse(shlex.split(command.strip("`"))[1:])
    path, _, name = proof.partition("::")
    functions = ast.walk(ast.parse((ROOT / "tests" / path).read_text("utf-8")))
    names = {node.name for node in functions if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in names


def test_every_guide_has_capabilities() -> None:
    assert {letter for row in table("guide") for letter in row[0].split()} == set("ABCDE")


def test_every_exit_code_is_in_the_table() -> None:
    told = {int(code) for row in table("exit code") for code in row[0].split(",")}
    assert told == {0, 1, 2, *EXIT_CODES.values()}


def test_the_dependency_table_is_complete() -> None:
    told = [row[0] for row in table("library")]
    assert sorted(told) == sorted(re.split(r"[<>=\[; ]", text)[0] for text in PROJECT["dependencies"])
    extras = README.partition("Extras:")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", extras)) <= PROJECT["optional-dependencies"].keys()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_values_in_comments_are_right() -> None:
    values = re.findall(r"^(\w+\(.+\))\s+# ([\d(][\d, ]*\)?)", "\n".join(blocks("python")), re.MULTILINE)
    assert len(values) >= 2
    names = {name: getattr(pipeline, name) for name in pipeline.__all__}
    for expression, value in values:
        assert eval(expression, names) == ast.literal_eval(value), expression


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_compiles(block: str) -> None:
    compile(block, "README.md", "exec")


async def test_the_python_runs(
    emulator: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As printed, one block after the other: the captions that the last one makes are what the others read."""
    write_jpegs(tmp_path / "photos", 3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", emulator.base_url)
    for block in sorted(blocks("python"), key=lambda block: "Job.create" not in block):
        await asyncio.to_thread(exec, block, {"__name__": "readme"})
    assert emulator.stats.requests == 3
    printed = capsys.readouterr().out
    assert re.search(r"^3 0\.\d+ 0$", printed, re.MULTILINE), "captioned, dollars, exit code"
    assert "captioned" in printed
