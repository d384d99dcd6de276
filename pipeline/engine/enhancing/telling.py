"""What was found in a picture: in words for the model, and beside the words of its caption. Pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.items import Found, Grounding

MOST_LINES = 100
MOST_CHARACTERS = 4000
"""About 1,000 tokens: a page of text. What comes after is in the row, not in the prompt."""

_HEADS = {
    "text": "Text read in this image, with its place (left, top, right, bottom in % of the sides):",
    "object": "Objects found in this image, with their place (left, top, right, bottom in % of the sides):",
}


def tell(found: Sequence[Found]) -> str:
    """What follows the prompt; empty when nothing was found.

    Text is quoted as JSON: what stands in a picture shall not read as part of the question.
    """
    parts = []
    for kind, head in _HEADS.items():
        lines = [_line(each) for each in found if each.kind == kind]
        if lines:
            parts.append("\n".join((head, *_kept(lines))))
    return "".join(f"\n\n{part}" for part in parts)


def _line(found: Found) -> str:
    name = json.dumps(found.text, ensure_ascii=False) if found.kind == "text" else found.text
    xs, ys = zip(*found.polygon, strict=True)
    return f"{name} at {', '.join(f'{100 * side:.0f}' for side in (min(xs), min(ys), max(xs), max(ys)))}"


def _kept(lines: Sequence[str]) -> list[str]:
    kept: list[str] = []
    room = MOST_CHARACTERS
    for line in lines[:MOST_LINES]:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept if len(kept) == len(lines) else [*kept, f"({len(lines) - len(kept)} more)"]


def as_grounding(found: Sequence[Found]) -> tuple[Grounding, ...]:
    """For a row, not yet looked for in any caption."""
    return tuple(Grounding(each.text, None, None, each.polygon) for each in found)


def located(grounding: Sequence[Grounding], caption: str | None, answer: str) -> tuple[Grounding, ...]:
    """With the place of each text in the caption, where it stands there word for word, whatever its case.

    A place that is known already counts where the caption is the whole `answer`, and not a part of it.
    """
    whole, folded = caption == answer, (caption or "").casefold()
    return tuple(
        each if whole and each.offset is not None else _located(each, caption or "", folded) for each in grounding
    )


def _located(grounding: Grounding, caption: str, folded: str) -> Grounding:
    if grounding.text.casefold() not in folded:  # most of a page of text: an expression for each takes 1,000 times that
        return replace(grounding, offset=None, length=None)
    words = re.escape(grounding.text)
    # Not within a longer word; but a character of a language that writes no spaces has others beside it.
    begins, ends = (
        (r"(?<![A-Za-z0-9])" if _is_latin(grounding.text[:1]) else ""),
        (r"(?![A-Za-z0-9])" if _is_latin(grounding.text[-1:]) else ""),
    )
    found = re.search(f"{begins}{words}{ends}", caption, re.IGNORECASE) if grounding.text else None
    if found is None:
        return replace(grounding, offset=None, length=None)
    return replace(grounding, offset=found.start(), length=found.end() - found.start())


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()
