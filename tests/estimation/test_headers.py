"""Headers of images that are far away."""

import random

import pytest

from pipeline.errors import RunError, Unavailable
from pipeline.estimation.headers import REMOTE_HEAD_BYTES, HeaderReader
from pipeline.estimation.survey import survey_listing
from pipeline.images import ImageOptions
from tests.helpers.pictures import encoded, exif, photo
from tests.helpers.remote import RemoteListing


def reader(source: RemoteListing, max_bytes: int = 10**9) -> HeaderReader:
    return HeaderReader(source, ImageOptions(), max_bytes, at_once=8)


def test_one_request_for_each_header_many_at_once() -> None:
    data = encoded(photo(64, 48), exif=exif(6))
    source = RemoteListing({f"{number}.jpg": data for number in range(300)})
    [survey] = survey_listing(source, reader(source), [None], random.Random(0))
    assert survey.sizes == {(48, 64, False): 300}
    assert set(source.attempts.values()) == {1}
    assert source.most_at_once == 8


def test_a_second_request_only_when_the_header_was_not_in_the_first() -> None:
    plain = encoded(photo(64, 48))
    late = plain[:2] + (b"\xff\xfe" + (60_002).to_bytes(2) + bytes(60_000)) + plain[2:]  # a long comment comes first
    source = RemoteListing({"late.jpg": late, "plain.jpg": plain})
    [survey] = survey_listing(source, reader(source), [None], random.Random(0))
    assert survey.sizes == {(64, 48, True): 2}
    assert source.attempts == {"late.jpg": 2, "plain.jpg": 1}
    assert len(late) > REMOTE_HEAD_BYTES


def test_a_sample_asks_for_no_more_than_it_says() -> None:
    data = encoded(photo(64, 48))
    source = RemoteListing({f"{number}.jpg": data for number in range(500)})
    [survey] = survey_listing(source, reader(source), [None], random.Random(0), sample=20)
    assert sum(source.attempts.values()) == survey.probed == 20
    assert survey.left == 500


def test_what_needs_no_request_and_what_fails() -> None:
    source = RemoteListing({"large.jpg": bytes(2000), "text.jpg": b"<html>", "gone.jpg": None})
    [survey] = survey_listing(source, reader(source, max_bytes=1000), [None], random.Random(0))
    assert survey.unreadable == {"too_large": 1, "unsupported_format": 1, "unreadable": 1}
    assert "large.jpg" not in source.attempts


def test_trouble_that_passes_is_waited_for() -> None:
    busy = Unavailable("s3://b does not answer (503).")
    source = RemoteListing({"a.jpg": encoded(photo(64, 48))}, lambda image, attempt: busy if attempt == 1 else None)
    [survey] = survey_listing(source, reader(source), [None], random.Random(0))
    assert survey.probed == 1


def test_trouble_of_the_source_ends_the_estimate() -> None:
    source = RemoteListing({"a.jpg": b"x"}, lambda image, attempt: RunError("The credentials have expired."))
    with pytest.raises(RunError, match="expired"):
        survey_listing(source, reader(source), [None], random.Random(0))
