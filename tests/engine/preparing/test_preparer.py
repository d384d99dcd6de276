"""The worker's hop: one result for each image, in order, whatever is wrong with one of them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pipeline.api.payload import LabelledImage
from pipeline.engine.preparing.preparer import Fit, Preparer
from pipeline.errors import ImageError, RunError, UserError
from pipeline.images import ImageOptions
from pipeline.items import Failure, Prepared, Request, Sent, SourceImage, Unprepared
from tests.engine.making import MemorySource, image
from tests.helpers.pictures import encoded, photo

PICTURE = encoded(photo(96, 64))


def half(width: int, height: int) -> tuple[int, int]:
    return width // 2, height // 2


def preparer(
    contents: dict[str, bytes | Exception],
    fit: Fit = half,
    encode: Callable[..., bytes] = lambda prepared, prompt: b"<" + prepared.data + b">",
    image_tokens: int | None = 85,
) -> Preparer:
    return Preparer(
        MemorySource(contents).read,
        ImageOptions(),
        fit,
        encode,
        lambda width, height: image_tokens,
        lambda own, labels: (15 if own is None else len(own)) + sum(map(len, labels)),
    )


def test_a_request_knows_the_image_what_is_sent_and_what_it_will_cost() -> None:
    [made] = preparer({"a": PICTURE})([image("a")])
    assert isinstance(made, Request)
    assert (made.image.key, made.original_bytes) == ("a", len(PICTURE))
    assert (made.probe.format, made.probe.width, made.probe.height) == ("jpeg", 96, 64)
    assert made.sent == Sent("jpeg", 48, 32, len(made.body) - 2)
    assert made.body[:3] == b"<\xff\xd8"
    assert (made.predicted_image_tokens, made.predicted_prompt_tokens) == (85, 100)


def test_an_unknown_token_rule_predicts_nothing_instead_of_zero() -> None:
    [made] = preparer({"a": PICTURE}, image_tokens=None)([image("a")])
    assert isinstance(made, Request)
    assert (made.predicted_image_tokens, made.predicted_prompt_tokens) == (None, None)


def test_one_result_for_each_in_order_whatever_happens_to_one() -> None:
    contents: dict[str, bytes | Exception] = {
        "a": PICTURE,
        "b": b"no picture at all",
        "c": ImageError("unreadable", "Gone."),
        "d": PICTURE[:-200],
        "e": OSError("The disk is tired."),
        "f": PICTURE,
    }
    made = preparer(contents)([image(key) for key in contents])
    assert [result.image.key for result in made] == list(contents)
    assert [result.failure.reason if isinstance(result, Unprepared) else "ready" for result in made] == [
        "ready", "unsupported_format", "unreadable", "truncated_file", "undecodable", "ready",
    ]  # fmt: skip


def test_what_was_read_of_a_broken_image_is_kept() -> None:
    [cut] = preparer({"a": PICTURE[:-200]})([image("a")])
    assert isinstance(cut, Unprepared)
    assert cut.probe is not None
    assert (cut.probe.width, cut.bytes) == (96, len(PICTURE) - 200)
    assert cut.content_hash is not None
    [unread] = preparer({"a": ImageError("unreadable", "Gone.")})([image("a")])
    assert isinstance(unread, Unprepared)
    assert (unread.probe, unread.bytes, unread.content_hash) == (None, None, None)


@pytest.mark.parametrize(
    ("trouble", "reason", "said"),
    [
        (UserError("A side of 0 pixels."), "too_large", "A side of 0 pixels."),
        (MemoryError(), "too_large", "more memory"),
        (ZeroDivisionError("division by zero"), "undecodable", "ZeroDivisionError: division by zero"),
        (RecursionError("deep"), "undecodable", "RecursionError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_trouble_while_it_is_made_ready_is_the_rows_reason(
    trouble: Exception, reason: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fit(width: int, height: int) -> tuple[int, int]:
        raise trouble

    with caplog.at_level(logging.ERROR):
        [made] = preparer({"photos/a": PICTURE}, fit=fit)([image("photos/a")])
    assert isinstance(made, Unprepared)
    assert made.failure.reason == reason
    assert said in made.failure.message
    assert made.bytes == len(PICTURE)
    unexpected = reason == "undecodable"
    assert bool(caplog.records) == unexpected, "a bug leaves a traceback, a known trouble none"
    assert ("photos/a" in caplog.text) == unexpected


def test_trouble_of_the_encoder_is_the_rows_too() -> None:
    def encode(prepared: Prepared, prompt: str | None) -> bytes:
        raise MemoryError

    [made] = preparer({"a": PICTURE}, encode=encode)([image("a")])
    assert isinstance(made, Unprepared)
    assert made.failure.reason == "too_large"


def test_trouble_of_the_whole_source_is_no_row() -> None:
    with pytest.raises(RunError, match="credentials"):
        preparer({"a": RunError("The store refused the credentials.")})([image("a")])


def test_an_own_prompt_reaches_the_body_and_the_prediction() -> None:
    own = replace(image("a"), prompt="What is it?")
    [made] = preparer({"a": PICTURE}, encode=lambda prepared, prompt: (prompt or "").encode())([own])
    assert isinstance(made, Request)
    assert (made.body, made.predicted_prompt_tokens) == (b"What is it?", 85 + len("What is it?"))


def together(*keys: str) -> SourceImage:
    return replace(image("g"), members=tuple(image(key) for key in keys))


def named(images: Prepared | str | Sequence[LabelledImage], prompt: str | None) -> bytes:
    assert not isinstance(images, Prepared | str)
    return "; ".join(each.label for each in images).encode()


def test_several_images_are_each_made_ready_for_one_request() -> None:
    contents: dict[str, bytes | Exception] = {"x/a.jpg": PICTURE, "b.tar::y/b\n.jpg": encoded(photo(40, 40))}
    [made] = preparer(contents, encode=named)([together(*contents)])
    assert isinstance(made, Request)
    assert made.probe is None, "they have no common size"
    assert made.body == b"Image 1: a.jpg; Image 2: b\\n.jpg"
    assert made.original_bytes == sum(len(each) for each in contents.values() if isinstance(each, bytes))
    assert (made.sent.format, made.sent.width, made.sent.height) == ("jpeg", None, None)
    assert (made.predicted_image_tokens, made.predicted_prompt_tokens) == (170, 170 + 15 + len("Image 1: ") * 2 + 5 + 7)


def test_the_same_images_are_the_same_content_only_in_the_same_order_and_by_the_same_names() -> None:
    keys = ("a", "b", "c")
    contents: dict[str, bytes | Exception] = {"a": PICTURE, "b": encoded(photo(40, 40)), "c": PICTURE}
    groups = [together("a", "b"), together("b", "a"), together("c", "b"), together("a"), together("z/a", "z/b")]
    contents |= {f"z/{key}": contents[key] for key in keys}
    made = preparer(contents, encode=named)(groups)
    hashes = [each.content_hash for each in made]
    assert len(set(hashes)) == 4
    assert hashes[0] == hashes[4], "in whatever folder they lie"


def test_one_broken_image_of_several_is_named() -> None:
    contents: dict[str, bytes | Exception] = {"a": PICTURE, "b": PICTURE[:-200], "c": PICTURE}
    [made] = preparer(contents, encode=named)([together(*contents)])
    assert isinstance(made, Unprepared)
    assert made.failure.reason == "truncated_file"
    assert made.failure.message.startswith("b: ")


def test_what_the_listing_knows_to_fail_is_not_read() -> None:
    failure = Failure("invalid_row", "No path.")
    [made] = preparer({})([replace(image("a"), failure=failure)])
    assert isinstance(made, Unprepared)
    assert made.failure is failure
