"""The label map as it is shipped."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.builtin.convert.labels import ranges
from pipeline.builtin.labels import _positions, load_vocabulary

WORDS = load_vocabulary()
WITHOUT_ARTICLE = {
    "fruit", "vegetables", "fruit or vegetables", "bread", "ice cream", "food", "bookshelves", "furniture", "scissors",
    "sunglasses", "clothing", "jewellery", "skis",
}  # fmt: skip


def phrase(say: str) -> frozenset[int]:
    return next(phrase.classes for phrase in WORDS.phrases if phrase.say == say)


def test_every_phrase_has_its_article() -> None:
    for say in [phrase.say for phrase in WORDS.phrases]:
        article, _, noun = say.partition(" ")
        assert say in WITHOUT_ARTICLE or (noun and article == ("an" if noun[0] in "aeiou" else "a")), say


def test_phrases_are_said_once_and_plurals_have_no_article() -> None:
    says = [phrase.say for phrase in WORDS.phrases]
    assert len(set(says)) == len(says)
    assert not [phrase.many for phrase in WORDS.phrases if phrase.many and phrase.many.split()[0] in ("a", "an")]


def test_the_detector_has_a_phrase_for_each_of_its_classes() -> None:
    assert len(WORDS.detected) == 80
    assert [WORDS.detected[kind].say for kind in (0, 15, 16, 79)] == ["a person", "a cat", "a dog", "a toothbrush"]


def test_known_classes_are_where_wordnet_puts_them() -> None:
    assert phrase("a dog") == frozenset(range(151, 269))
    assert phrase("a cat") == frozenset(range(281, 286))
    assert phrase("an animal") == frozenset(range(398))
    assert 817 in phrase("a car")  # sports car
    assert phrase("a car") < phrase("a vehicle")


def test_every_phrase_can_be_said() -> None:
    detected = set(WORDS.detected)
    assert all(
        phrase.classes <= set(range(1000)) and (phrase.classes or phrase in detected) for phrase in WORDS.phrases
    )


def test_the_narrowest_phrase_that_covers_both() -> None:
    by_say = {phrase.say: phrase for phrase in WORDS.phrases}
    dog, horse, zebra, car, kite = (by_say[say] for say in ("a dog", "a horse", "a zebra", "a car", "a kite"))
    assert WORDS.common(horse, zebra) == by_say["a hoofed animal"]
    assert WORDS.common(dog, horse) == by_say["an animal"]
    assert WORDS.common(dog, by_say["an animal"]) == by_say["an animal"]
    assert WORDS.common(dog, car) is None
    assert WORDS.common(dog, kite) is None


@given(st.sets(st.integers(0, 999)))
def test_ranges_are_read_as_they_are_written(numbers: set[int]) -> None:
    assert _positions(ranges(numbers)) == numbers
