"""The command line called within this process: a second faster than a process of its own."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from pipeline.cli import call
from tests.helpers.command import Ended


def called(*arguments: str | Path) -> Ended:
    """Run `nightcap ARGUMENTS` to its end."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    code = 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["nightcap", *map(str, arguments)]):
        try:
            call()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        finally:
            texts = []
            for stream in (out, err):
                stream.flush()
                texts.append(stream.buffer.getvalue().decode())
    return Ended(code, *texts)
