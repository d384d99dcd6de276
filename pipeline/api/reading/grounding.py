"""Where in the picture the words of a caption are: Azure's object grounding in a reply. Pure; never raises.

On the wire a span has its place in one of the lines that make the content up, in Unicode code points (Azure SDK,
AzureGroundingEnhancementLineSpan). A service written in a language whose strings are UTF-16 may count those instead, so
a span is believed where its own text says that it is right: behind an emoji both cannot be.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pipeline.api.reading.text import as_count, as_dict, as_dicts, as_number, read_text
from pipeline.items import Grounding

MOST_SPANS = 1000
"""A picture of the guide has four; what a server sends beyond that is looked for on the event loop."""


def read_grounding(choice: Mapping[str, Any], content: str) -> tuple[Grounding, ...]:
    """The first MOST_SPANS spans of a choice, with their places in its content without the white space around it."""
    enhancements = choice.get("enhancements")
    return tuple(islice(_spans(enhancements, content), MOST_SPANS)) if enhancements else ()


def _spans(enhancements: object, content: str) -> Iterator[Grounding]:
    begun, ended = len(content) - len(content.lstrip()), len(content.rstrip())
    place = 0
    for line in as_dicts(as_dict(as_dict(enhancements).get("grounding")).get("lines")):
        text = read_text(line.get("text")) or ""
        place = max(content.find(text, place), 0)
        for span in as_dicts(line.get("spans")):
            offset, length = as_count(span.get("offset")), as_count(span.get("length"))
            polygon = _polygon(span.get("polygon"))
            if offset is None or length is None or polygon is None:
                continue
            words = read_text(span.get("text")) or ""
            found = _place(content, words, place, offset, length)
            if begun <= found[0] and sum(found) <= ended:
                yield Grounding(words, found[0] - begun, found[1], polygon)


def _place(content: str, words: str, begin: int, offset: int, length: int) -> tuple[int, int]:
    """(offset, length) in code points of the content, from those of a span in the line that begins at `begin`."""
    said = begin + offset, length
    if not words or _says(content, said, words):
        return said
    units = content[begin:].encode("utf-16-le")
    before, within = units[: 2 * offset], units[2 * offset : 2 * (offset + length)]
    counted = begin + len(before.decode("utf-16-le", "replace")), len(within.decode("utf-16-le", "replace"))
    if _says(content, counted, words):
        return counted
    lower, sought = content.lower(), words.lower()
    places = (lower.rfind(sought, 0, said[0] + len(sought)), lower.find(sought, said[0]))
    nearest = min((at for at in places if at >= 0), key=lambda at: abs(at - said[0]), default=None)
    return said if nearest is None or len(lower) != len(content) else (nearest, len(words))


def _says(content: str, place: tuple[int, int], words: str) -> bool:
    return content[place[0] : sum(place)].casefold() == words.casefold()  # the guide: "the person" at "The person"


def _polygon(value: object) -> tuple[tuple[float, float], ...] | None:
    """Its corners, on the picture; None: not all of them are numbers."""
    corners = [(as_number(corner.get("x")), as_number(corner.get("y"))) for corner in as_dicts(value)]
    on_picture = tuple((_fraction(x), _fraction(y)) for x, y in corners if x is not None and y is not None)
    return on_picture if len(on_picture) == len(corners) else None


def _fraction(number: float) -> float:
    return min(max(number, 0.0), 1.0)
