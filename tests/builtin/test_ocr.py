"""What of the reader's output is kept. The reader itself is an extra and is not needed here."""

import sys

import pytest

from pipeline.builtin.ocr import is_legible, load_reader, load_text_finder
from pipeline.errors import MissingExtra


@pytest.mark.parametrize(
    ("line", "score", "kept"),
    [
        (" NOTICE ", 0.99, True),
        ("AAA", 0.6, False),
        ("***-*", 0.99, False),
        ("No", 0.99, False),
        ("AT ALL TIMES", 0.85, True),
        ("4x4", 0.99, True),
    ],
)
def test_sure_lines_with_letters_are_kept(line: str, score: float, kept: bool) -> None:
    assert is_legible(line, score) is kept


def test_without_rapidocr_there_is_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    assert load_reader() is None
    with pytest.raises(MissingExtra, match="nightcap\\[ocr\\]"):
        load_text_finder()
