"""Findings to English: whole sentences for the usual cases, grammar for all."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.builtin.colours import PALETTE
from pipeline.builtin.content import Claim
from pipeline.builtin.labels import load_vocabulary
from pipeline.builtin.sentences import Findings, describe

PHRASES = {phrase.say: phrase for phrase in load_vocabulary().phrases}
PHOTO = Findings(640, 480, ("brown", "grey"), grey=False, plain=False)


def main(say: str, many: bool = False) -> Claim:
    return Claim(PHRASES[say], many, main=True)


def beside(say: str, many: bool = False) -> Claim:
    return Claim(PHRASES[say], many, main=False)


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        (replace(PHOTO, claims=(main("a cat"),)), "A picture of a cat. Main colours: brown, grey."),
        (replace(PHOTO, colours=("red",)), "A picture; content not recognised. Main colour: red."),
        (replace(PHOTO, colours=()), "A picture; content not recognised."),
        (replace(PHOTO, grey=True, claims=(main("a horse"),)), "A black-and-white picture of a horse."),
        (
            replace(PHOTO, grey=True, claims=(main("a bus"), beside("a person", many=True), beside("a car"))),
            "A black-and-white picture of a bus, with people and a car.",
        ),
        (
            replace(PHOTO, grey=True, claims=(main("a dog"), main("a person"), main("an umbrella"))),
            "A black-and-white picture of a dog, a person and an umbrella.",
        ),
        (replace(PHOTO, grey=True, claims=(beside("a kite", many=True),)), "A black-and-white picture with kites."),
        (replace(PHOTO, width=1300, grey=True), "A very wide black-and-white picture; content not recognised."),
        (replace(PHOTO, height=1700, grey=True), "A tall, narrow black-and-white picture; content not recognised."),
        (
            replace(PHOTO, width=32, height=9, grey=True),
            "A very small black-and-white picture; content not recognised.",
        ),
        (replace(PHOTO, plain=True, colours=("white",)), "A plain white picture."),
        (
            replace(PHOTO, colours=("red",), text=("NO PARKING", 'say "ah"')),
            "A picture; content not recognised. Text read by OCR: \"NO PARKING / say 'ah'\". Main colour: red.",
        ),
    ],
)
def test_sentences(findings: Findings, sentence: str) -> None:
    assert describe(findings) == sentence


def test_long_text_is_cut() -> None:
    caption = describe(replace(PHOTO, grey=True, text=("word " * 100,)))
    assert caption.endswith('…".')
    assert len(caption) < 280


anything = st.builds(
    Findings,
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    colours=st.lists(st.sampled_from(list(PALETTE)), min_size=1, max_size=3, unique=True).map(tuple),
    grey=st.booleans(),
    plain=st.booleans(),
    claims=st.lists(
        st.builds(Claim, st.sampled_from(list(PHRASES.values())), st.booleans(), st.booleans()), max_size=3
    ).map(tuple),
)


@given(anything)
def test_grammar(findings: Findings) -> None:
    caption = describe(findings)
    assert caption.startswith("A ")
    assert caption.endswith(".")
    assert not re.search(r"  | ,|,,|\.\.| \.|and and|\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", caption), caption
