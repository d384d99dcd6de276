"""Images that an endpoint found too large."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.payload import Form, images_of, render_head, tail_template
from pipeline.engine.preparing.preparer import Fetched, Listed, Preparer
from pipeline.engine.preparing.remaking import make_smaller
from pipeline.engine.preparing.rules import json_tail
from pipeline.images import ImageOptions, probe
from pipeline.items import Request, Sent, SourceImage, Unprepared
from tests.engine.making import image
from tests.helpers.pictures import encoded, photo


def nobody_reads(source_image: SourceImage) -> bytes:
    raise AssertionError("it is at hand")


PREPARER = Preparer(
    nobody_reads,
    ImageOptions(),
    lambda width, height: (width, height),
    json_tail(tail_template(ModelOptions())),
    lambda width, height: width,
    lambda prompt, labels: 7 + len(labels),
)


async def prepare(images: Sequence[Listed]) -> list[Request | Unprepared]:
    return PREPARER(images)


async def test_it_has_half_the_pixels_and_is_still_the_same_image() -> None:
    original = encoded(photo(640, 480))
    [asked] = PREPARER([Fetched(image(), (original,))])
    assert isinstance(asked, Request)
    assert [each.data for each in images_of(asked.body)] == [original], "passed through"
    smaller = await make_smaller(prepare, replace(asked, max_tokens=900))
    assert smaller
    assert (smaller.sent.width, smaller.sent.height) == (453, 339)
    [sent] = images_of(smaller.body)
    header = probe(sent.data)
    assert (header.width, header.height) == (453, 339)
    assert json.loads(render_head(ModelOptions(), Form("gpt-4o")) + smaller.body)
    assert (smaller.predicted_image_tokens, smaller.predicted_prompt_tokens) == (453, 460)
    assert (smaller.probe, smaller.content_hash, smaller.original_bytes, smaller.max_tokens) == (
        asked.probe, asked.content_hash, asked.original_bytes, 900,
    )  # fmt: skip


async def test_of_several_each_has_half_the_pixels() -> None:
    group = replace(image("g"), members=(image("a.jpg"), image("b.jpg")))
    [asked] = PREPARER([Fetched(group, (encoded(photo(640, 480)), encoded(photo(100, 100), "png")))])
    assert isinstance(asked, Request)
    assert asked.sent == Sent(None, None, None, asked.sent.bytes), "they have nothing in common"
    smaller = await make_smaller(prepare, asked)
    assert smaller
    assert [(each.label, probe(each.data).width) for each in images_of(smaller.body)] == [
        ("Image 1: a.jpg", 453),
        ("Image 2: b.jpg", 71),
    ]
    assert (smaller.predicted_image_tokens, smaller.predicted_prompt_tokens) == (524, 524 + 9)
    assert (smaller.content_hash, smaller.original_bytes) == (asked.content_hash, asked.original_bytes)
    assert smaller.sent.bytes < asked.sent.bytes


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b'"x"', b'7},{"type":"image_url"}]}]}', b'"x"},{"type":"image_url"}]}]}', b"[" * 100_000]
)
async def test_of_a_body_that_is_none_nothing_smaller_is_made(body: bytes) -> None:
    [asked] = PREPARER([Fetched(image(), (encoded(photo(640, 480)),))])
    assert isinstance(asked, Request)
    assert await make_smaller(prepare, replace(asked, body=body)) is None
