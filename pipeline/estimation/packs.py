"""What packing makes of the text beside the images: fewer requests, and a prompt that many share. Pure."""

import math
from dataclasses import dataclass

from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form
from pipeline.api.structured.counting import CHARACTERS_PER_TOKEN
from pipeline.engine.packing.joining import labels_of, packed_prompt, text_tokens
from pipeline.models import Model

ENTRY_TOKENS = 8
"""Of a packed answer, around each caption: `{"image":1,"caption":""},`, without spaces as models write it mostly."""


@dataclass(frozen=True, slots=True)
class Packs:
    """How a listing is asked about."""

    requests: int
    text_tokens: int
    """Of all requests, beside the images."""
    saved_tokens: int = 0
    """Against asking each image alone; below 0: it takes more."""

    def text_of_an_image(self, images: int) -> int:
        """Its share, rounded down."""
        return self.text_tokens // images if images else 0


def plan_packs(
    options: ModelOptions, model: Model, form: Form, images: int, alone_tokens: int, *, one_by_one: int
) -> Packs:
    """If every pack is full but the last. `alone_tokens`: text tokens of an image that is asked alone. `one_by_one`: of
    `images`, those that are: videos, groups, and what has a prompt of its own.
    """
    together = 0 if options.pack == 1 else images - one_by_one
    alone = images - together
    full, rest = divmod(together, options.pack)
    total = alone * alone_tokens + full * _text_of(options, model, form, options.pack, alone_tokens)
    if rest:
        total += _text_of(options, model, form, rest, alone_tokens)
    return Packs(alone + full + (rest > 0), total, images * alone_tokens - total)


def _text_of(options: ModelOptions, model: Model, form: Form, count: int, alone_tokens: int) -> int:
    if count == 1:
        return alone_tokens
    counted = text_tokens(options, model, form, count)
    if counted is not None:
        return counted
    packed = packed_prompt(options.prompt, count, with_schema=options.schema is not None)
    more = len(packed) - len(options.prompt) + sum(map(len, labels_of(count)))
    return alone_tokens + math.ceil(more / CHARACTERS_PER_TOKEN)
