"""What of the reader's output is kept. The reader itself is an extra: where it is not installed, it is not tried."""

import sys

import pytest
from PIL import Image, ImageDraw, ImageFont

from pipeline.builtin.ocr import is_legible, load_reader, load_text_finder
from pipeline.errors import MissingExtra
from tests.helpers.pictures import encoded


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


def test_text_is_found_where_it_stands() -> None:
    pytest.importorskip("rapidocr")
    sign = Image.new("RGB", (400, 200), "white")
    ImageDraw.Draw(sign).text((60, 120), "NIGHT MARKET", fill="black", font=ImageFont.load_default(size=40))
    [line] = load_text_finder()(encoded(sign, "png"))
    assert line.text.replace(" ", "") == "NIGHTMARKET"
    assert all(0.1 < x < 0.95 and 0.55 < y < 0.9 for x, y in line.polygon)
