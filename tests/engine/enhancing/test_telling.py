"""What was found, in words for the model and beside the words of the caption."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.enhancing.telling import MOST_CHARACTERS, MOST_LINES, as_grounding, located, tell
from pipeline.items import Found, Grounding

BOX = ((0.1, 0.2), (0.5, 0.2), (0.5, 0.4), (0.1, 0.4))


def text(words: str) -> Found:
    return Found("text", words, BOX)


def thing(name: str) -> Found:
    return Found("object", name, BOX)


def test_text_and_objects_are_told_with_their_places() -> None:
    assert tell([thing("dog"), text('STOP "now"')]) == (
        "\n\nText read in this image, with its place (left, top, right, bottom in % of the sides):\n"
        '"STOP \\"now\\"" at 10, 20, 50, 40\n\n'
        "Objects found in this image, with their place (left, top, right, bottom in % of the sides):\n"
        "dog at 10, 20, 50, 40"
    )
    assert tell([]) == ""


def test_a_page_of_text_is_told_as_far_as_there_is_room() -> None:
    told = tell([text(f"line {number}") for number in range(MOST_LINES + 7)])
    assert told.endswith("\n(7 more)")
    told = tell([text("x" * 1000) for _ in range(10)])
    assert len(told) < MOST_CHARACTERS + 200
    assert told.endswith("(7 more)")


@pytest.mark.parametrize(
    ("words", "caption", "said"),
    [
        ("dog", "A Dog on a hotdog stand.", "Dog"),
        ("dog", "A hotdog stand.", None),
        ("STOP", "🛑👩‍🚀 A sign that says “Stop”.", "Stop"),
        ("(a+b)", "It reads (A+B) here.", "(A+B)"),
        ("紅茶", "看板に紅茶とある。", "紅茶"),
        ("dog", None, None),
    ],
)
def test_words_are_found_in_the_caption_by_code_points(words: str, caption: str | None, said: str | None) -> None:
    [span] = located(as_grounding([text(words)]), caption, caption or "")
    assert (span.text, span.polygon) == (words, BOX)
    if said is None:
        assert (span.offset, span.length) == (None, None)
    else:
        assert caption is not None
        assert span.offset is not None
        assert span.length is not None
        assert caption[span.offset : span.offset + span.length] == said


@given(st.text(), st.text(max_size=8), st.text())
def test_wherever_it_stands_the_offset_points_at_it(before: str, words: str, after: str) -> None:
    caption = before + words + after
    for span in located(as_grounding([text(words)]), caption, caption):
        if span.offset is not None and span.length is not None:
            assert caption[span.offset : span.offset + span.length].casefold() == words.casefold()


def test_a_place_in_the_whole_answer_is_none_in_the_caption_that_is_part_of_it() -> None:
    known = (Grounding("dog", 23, 3, BOX), Grounding("cat", 40, 3, BOX))
    assert located(known, "A dog.", "A dog.") == known
    first, second = located(known, "A dog.", '{"caption": "A dog.", ...}')
    assert (first.offset, second.offset) == (2, None)
