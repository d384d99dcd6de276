"""How the process ends: with its exit code, whatever threads of others are about."""

import subprocess
import sys

import pytest

SCRIPT = """
import atexit, os, sys
from pipeline.cli import main

class Witness:
    def __del__(self, write=os.write):
        write(1, b" torn down")

witness = Witness()
sys.argv = ["nightcap", *ARGUMENTS]
try:
    main()
finally:
    atexit.register(print, "cleaned up", end="")
"""


@pytest.mark.parametrize(
    ("arguments", "code"), [(["models", "gpt-4o"], 0), (["models", "gpt-4p"], 2), (["--help"], 0), ([], 2)]
)
def test_the_interpreter_is_left_and_not_torn_down(arguments: list[str], code: int) -> None:
    """A thread that is not Python's aborts a process that tears its interpreter down."""
    script = SCRIPT.replace("ARGUMENTS", repr(arguments))
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout.endswith("cleaned up")) == (code, True), ended.stderr


def test_what_nobody_foresaw_is_shown_and_ends_with_1() -> None:
    script = "import pipeline.cli\npipeline.cli.call = lambda: 1 / 0\npipeline.cli.main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, "ZeroDivisionError: division by zero")
