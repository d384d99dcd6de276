"""Azure's object grounding: spans that point at the right words, polygons that lie on the picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.reading.grounding import read_grounding

CAPTION = (
    "The image shows a close-up of an individual with dark hair and what appears to be a short haircut. The person has "
    "visible ears and a bit of their neckline. The background is a neutral light color, providing a contrast to the "
    "dark hair."
)
CORNERS = [
    {"x": 0.11950000375509262, "y": 0.4124999940395355},
    {"x": 0.8034999370574951, "y": 0.4124999940395355},
    {"x": 0.8034999370574951, "y": 0.6434999704360962},
    {"x": 0.11950000375509262, "y": 0.6434999704360962},
]
SPAN = {"text": "the person", "length": 10, "offset": 99, "polygon": CORNERS}
GUIDE = {
    "index": 0,
    "message": {"role": "assistant", "content": CAPTION},
    "enhancements": {"grounding": {"lines": [{"text": CAPTION, "spans": [SPAN]}], "status": "Success"}},
}
"""Of the guide of 2024-02."""


def choice(text: str, *spans: dict[str, object]) -> dict[str, object]:
    return {"enhancements": {"grounding": {"lines": [{"text": text, "spans": list(spans)}], "status": "Success"}}}


def span(words: str, offset: int, length: int | None = None, **more: object) -> dict[str, object]:
    size = len(words) if length is None else length
    return {"text": words, "offset": offset, "length": size, "polygon": [{"x": 0.1, "y": 0.2}], **more}


def test_the_guides_reply_points_at_the_person() -> None:
    [found] = read_grounding(GUIDE, CAPTION)
    assert CAPTION[found.offset : found.offset + found.length] == "The person"
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in found.polygon)
    assert len(found.polygon) == 4


@pytest.mark.parametrize("words", ["red kite", "ein Milan 🪁", "é", "紅い凧"])
def test_behind_an_emoji_both_ways_of_counting_are_read(words: str) -> None:
    text = f"  👩‍🚀🎈 sees a {words}, and a dog. "
    at = text.index(words)
    utf16 = len(text[:at].encode("utf-16-le")) // 2, len(words.encode("utf-16-le")) // 2
    for offset, length in ((at, len(words)), utf16):
        [found] = read_grounding(choice(text, span(words, offset, length)), text)
        caption = text.strip()
        assert caption[found.offset : found.offset + found.length] == words


def test_words_elsewhere_are_taken_where_they_are_nearest() -> None:
    text = "A dog here, a Dog there, a dog."
    [found] = read_grounding(choice(text, span("dog", 16)), text)
    assert found.offset == text.index("Dog")


def test_a_polygon_over_the_edge_ends_at_it() -> None:
    corners = [{"x": -0.01, "y": 0.5}, {"x": 1.002, "y": 2}]
    [found] = read_grounding(choice("A dog.", span("dog", 2, polygon=corners)), "A dog.")
    assert found.polygon == ((0.0, 0.5), (1.0, 1.0))


@given(st.text(), st.text(min_size=1), st.text(), st.booleans())
def test_whatever_stands_around_a_span_it_points_at_its_words(before: str, words: str, after: str, wide: bool) -> None:
    text = before + words + after
    offset, length = len(before), len(words)
    if wide:
        offset, length = (len(part.encode("utf-16-le")) // 2 for part in (before, words))
    for found in read_grounding(choice(text, span(words, offset, length)), text):
        caption = text.strip()
        assert caption[found.offset : found.offset + found.length].casefold() == words.casefold()
