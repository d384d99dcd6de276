"""What names and servers say never commands a terminal."""

import logging
import sys
from pathlib import Path

from pipeline.cli.common.terminal import Formatter
from tests.helpers.called import called

EVIL = "\x1b[2J\x1b]0;owned\x07\nnightcap: done\u202e.jpg"


def test_names_of_files(tmp_path: Path) -> None:
    folder = tmp_path / f"photos{EVIL}"
    folder.mkdir()
    (folder / EVIL).write_bytes(b"no image")
    (folder / f"sub{EVIL}").mkdir()
    out = tmp_path / f"out{EVIL}"
    for command in (("run", folder, "-o", out), ("status", out), ("doctor", folder, "-o", out), ("estimate", folder)):
        ended = called(*command)
        told = ended.out + ended.err
        assert "Traceback" not in told
        assert "owned" in told or command[0] == "estimate"
        assert not any(line.startswith("nightcap: done") for line in told.splitlines())
        assert [c for c in told if c in "\x1b\x07\u202e"] == []
    absent = called("status", tmp_path / f"absent{EVIL}")
    assert r"\x1b[2J" in absent.err


def test_a_log_keeps_its_lines_and_no_secret() -> None:
    try:
        raise ValueError(f"{EVIL} https://u:hunter2@host/?sig=abcdef")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "trouble with %s", (EVIL,), sys.exc_info())
    text = Formatter("%(message)s").format(record)
    first, second, *_ = text.splitlines()
    assert (first, second) == (
        r"trouble with \x1b[2J\x1b]0;owned\x07\nnightcap: done\u202e.jpg",
        "Traceback (most recent call last):",
    )
    assert [part for part in ("hunter2", "abcdef", "\x1b") if part in text] == []
