"""An image that an endpoint found too large."""

import json
from collections.abc import Sequence
from functools import partial

from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, image_of, render_head, tail_template
from pipeline.engine.preparing.preparer import Fetched, Listed, Preparer
from pipeline.engine.preparing.remaking import make_smaller
from pipeline.engine.record import Unprepared
from pipeline.images import ImageOptions, probe
from pipeline.items import Prepared, Request, SourceImage
from tests.engine.making import image
from tests.helpers.pictures import encoded, photo

TEMPLATE = tail_template(ModelOptions())


def encode(prepared: Prepared, prompt: str | None) -> bytes:
    return TEMPLATE.render(prepared.format, prepared.data, prompt)


def nobody_reads(source_image: SourceImage) -> bytes:
    raise AssertionError("it is at hand")


async def prepare(preparer: Preparer, images: Sequence[Listed]) -> list[Request | Unprepared]:
    return preparer(images)


async def test_it_has_half_the_pixels_and_is_still_the_same_image() -> None:
    preparer = Preparer(
        nobody_reads,
        ImageOptions(),
        lambda width, height: (width, height),
        encode,
        lambda width, height: width,
        lambda prompt: 7,
    )
    original = encoded(photo(640, 480))
    [asked] = preparer([Fetched(image(), original)])
    assert isinstance(asked, Request)
    assert image_of(asked.body) == original, "passed through"
    smaller = await make_smaller(partial(prepare, preparer), asked)
    assert smaller
    assert (smaller.sent.width, smaller.sent.height) == (453, 339)
    header = probe(image_of(smaller.body))
    assert (header.width, header.height) == (453, 339)
    assert json.loads(render_head(ModelOptions(), Form("gpt-4o")) + smaller.body)
    assert (smaller.predicted_image_tokens, smaller.predicted_prompt_tokens) == (453, 460)
    assert (smaller.probe, smaller.content_hash, smaller.original_bytes) == (
        asked.probe, asked.content_hash, asked.original_bytes,
    )  # fmt: skip
