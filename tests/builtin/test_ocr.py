"""What of the reader's output is kept. The reader itself is an extra and is not needed here."""

import sys

import pytest

from pipeline.builtin.ocr import legible, load_reader


def test_sure_lines_with_letters_are_kept() -> None:
    lines, scores = (" NOTICE ", "AAA", "***-*", "No", "AT ALL TIMES", "4x4"), (0.99, 0.6, 0.99, 0.99, 0.85, 0.9)
    assert legible(lines, scores) == ("NOTICE", "AT ALL TIMES", "4x4")


def test_without_rapidocr_there_is_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    assert load_reader() is None
