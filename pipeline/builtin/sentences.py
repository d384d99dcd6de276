"""Findings to English. Pure."""

from dataclasses import dataclass

from pipeline.builtin.content import Claim

VERY_SMALL_SIDE = 48
"""Pixels of the long side under which nothing is named: at 32 one claim in nine was wrong, at 48 one in twenty."""
LONG_SIDE_RATIO = 2.5
"""From here on the shape itself is worth a word; 16:9 is 1.8, cinema 2.4."""
MOST_TEXT = 200
"""Characters of text read in the picture that are quoted."""


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of a picture."""

    width: int
    height: int
    colours: tuple[str, ...]
    """The most frequent first."""
    grey: bool
    """Has no colour to speak of."""
    plain: bool
    """Is one colour all over."""
    claims: tuple[Claim, ...] = ()
    text: tuple[str, ...] = ()
    """Lines read by OCR."""

    @property
    def very_small(self) -> bool:
        return max(self.width, self.height) < VERY_SMALL_SIDE


def describe(findings: Findings) -> str:
    """One to three short sentences, e.g. `A picture of a cat. Main colours: brown, grey.`"""
    sentences = [_subject(findings)]
    if findings.text:
        text = " / ".join(findings.text).replace('"', "'")
        sentences.append(f'Text read by OCR: "{text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"}".')
    if findings.colours and not findings.grey and not findings.plain:
        sentences.append(f"Main colour{'s' * (len(findings.colours) > 1)}: {', '.join(findings.colours)}.")
    return " ".join(sentences)


def _subject(findings: Findings) -> str:
    if findings.plain:
        return f"A plain {findings.colours[0]} picture."
    picture = f"A {_shape(findings)}{'black-and-white ' if findings.grey else ''}picture"
    main = [claim.words for claim in findings.claims if claim.main]
    others = [claim.words for claim in findings.claims if not claim.main]
    if main and others:
        return f"{picture} of {_join(main)}, with {_join(others)}."
    if main or others:
        return f"{picture} {'of' if main else 'with'} {_join(main or others)}."
    return f"{picture}; content not recognised."


def _shape(findings: Findings) -> str:
    if findings.very_small:
        return "very small "
    if findings.width >= LONG_SIDE_RATIO * findings.height:
        return "very wide "
    return "tall, narrow " if findings.height >= LONG_SIDE_RATIO * findings.width else ""


def _join(words: list[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
