"""A row's findings on its picture: column `grounding`, looked at. Reads an output and one image, writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ImageError, UserError
from pipeline.images import draw_polygons
from pipeline.items import SourceImage
from pipeline.job import Job
from pipeline.objects import without_secrets
from pipeline.sources.anywhere import Anywhere
from pipeline.store import iter_batches
from pipeline.texts import printable

COLUMNS = ("key", "uri", "source_version", "caption", "grounding")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture with numbered places, and what they are."""

    png: bytes
    legend: tuple[str, ...]
    """A line for each number."""


def draw_row(out: str, key: str, image: bytes | None = None) -> Drawing:
    """What was found in the image of that key. `image`: the picture, where the row's address does not lead to it.

    Raises UserError when there is no such row, nothing was found, or the picture cannot be had.
    """
    row = _row(out, key)
    spans = row["grounding"] or []
    if not spans:
        raise UserError(f"Nothing was found in {key!r}; --enhance ocr,grounding looks for text and objects.")
    polygons = [[(corner["x"], corner["y"]) for corner in span["polygon"]] for span in spans]
    try:
        data = _read(out, row) if image is None else image
        png = draw_polygons(data, polygons)
    except ImageError as error:
        raise UserError(f"The picture of {key!r} cannot be had ({error}); give it with --image.") from None
    return Drawing(png, tuple(_line(number, span, row["caption"]) for number, span in enumerate(spans, 1)))


def _row(out: str, key: str) -> Mapping[str, Any]:
    for batch in iter_batches(out, COLUMNS):
        keys = batch.column("key").to_pylist()
        if key in keys:
            row: Mapping[str, Any] = batch.slice(keys.index(key), 1).to_pylist()[0]
            return row
    raise UserError(f"{without_secrets(out)} has no row with key {key!r}.")


def _read(out: str, row: Mapping[str, Any]) -> bytes:
    source = Job.of_output(out).source
    return Anywhere(source).read(SourceImage(row["key"], row["uri"], row["source_version"]))


def _line(number: int, span: Mapping[str, Any], caption: str | None) -> str:
    """What a number is, with the caption's own words around it."""
    told = f"{number}  {printable(span['text'])}"
    offset, length = span["offset"], span["length"]
    if offset is None or caption is None:
        return f"{told}  (the caption does not say so word for word)"
    before, words, after = caption[:offset][-20:], caption[offset : offset + length], caption[offset + length :][:20]
    return f"{told}  at {offset}: {printable(f'...{before}[{words}]{after}...')}"
