import random
import struct
from collections import Counter

import pytest

from pipeline.errors import UserError
from pipeline.estimation.headers import HeaderReader
from pipeline.estimation.survey import IsDone, Survey, survey_listing
from pipeline.images import ImageOptions
from pipeline.items import SourceImage
from tests.helpers.listing import Listing
from tests.helpers.pictures import animation, encoded, exif, photo


def png(width: int, height: int) -> bytes:
    """The header of a PNG of that size; nothing follows."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", width, height, 8, 2, 0, 0, 0, 0)


def look_at(source: Listing, options: ImageOptions | None = None, max_bytes: int = 10**9) -> HeaderReader:
    return HeaderReader(source, options or ImageOptions(), max_bytes)


def survey_all(
    source: Listing,
    is_done: IsDone | None = None,
    *,
    sample: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Survey:
    [survey] = survey_listing(source, look_at(source), [is_done], random.Random(seed), sample, limit)
    return survey


def is_even(image: SourceImage) -> bool:
    return int(image.key) % 2 == 0


def numbered(count: int) -> Listing:
    return Listing({str(number): png(100 + number, 50) for number in range(count)})


def test_sizes_are_as_a_person_sees_them_and_bytes_are_counted() -> None:
    turned = encoded(photo(64, 48), exif=exif(6))
    plain = encoded(photo(64, 48))
    survey = survey_all(Listing({"turned.jpg": turned, "plain.jpg": plain, "again.jpg": plain}))
    assert survey.sizes == {(48, 64, False): 1, (64, 48, True): 2}
    assert survey.bytes == {(48, 64, False): len(turned), (64, 48, True): 2 * len(plain)}
    assert (survey.listed, survey.left, survey.images, survey.sampled) == (3, 3, 3, False)


@pytest.mark.parametrize(
    ("data", "as_it_is"),
    [
        (encoded(photo(), "png"), True),
        (encoded(photo(), "bmp"), False),
        (animation("gif"), False),
        (encoded(photo(), exif=exif(3)), False),
    ],
)
def test_what_may_be_sent_byte_for_byte(data: bytes, as_it_is: bool) -> None:
    assert survey_all(Listing({"a": data})).sizes == {(64, 48, as_it_is): 1}


def test_a_file_above_what_may_be_sent_is_encoded_anew() -> None:
    source = Listing({"a": encoded(photo(), "png")})
    look = look_at(source, ImageOptions(max_sent_bytes=100)).look
    assert [look(image) for image in source.list()] == [((64, 48, False),)]


def test_images_that_will_fail_by_reason() -> None:
    survey = survey_all(
        Listing(
            {
                "empty.jpg": b"",
                "text.jpg": b"<html>not found</html>",
                "cut.jpg": encoded(photo())[:40],
                "gone.jpg": None,
                "bomb.png": png(60_000, 60_000),
                "long.png": png(100_000, 10),
                "fine.png": png(20, 10),
            }
        )
    )
    assert survey.unreadable == {
        "truncated_file": 2,
        "unsupported_format": 1,
        "unreadable": 1,
        "bomb": 1,
        "too_large": 1,
    }
    assert (survey.left, survey.images) == (7, 1)


def test_a_file_above_max_bytes_is_not_opened() -> None:
    source = Listing({"large.png": png(20, 10)})
    assert [look_at(source, max_bytes=10).look(image) for image in source.list()] == ["too_large"]
    assert source.read_keys == []


def test_what_is_done_is_neither_read_nor_counted() -> None:
    source = numbered(10)
    survey = survey_all(source, is_even)
    assert (survey.listed, survey.done, survey.left, survey.images) == (10, 5, 5, 5)
    assert source.read_keys == ["1", "3", "5", "7", "9"]


def test_requests_that_differ_in_what_is_done_share_one_pass() -> None:
    source = numbered(10)
    everything, rest = survey_listing(source, look_at(source), [None, is_even], random.Random(0))
    assert (everything.images, rest.images) == (10, 5)
    assert len(source.read_keys) == 10, "each header is read once"


def test_the_limit_is_of_images_left_as_in_a_run() -> None:
    source = numbered(10)
    survey = survey_all(source, is_even, limit=2)
    assert (survey.done, survey.left, survey.limited) == (3, 2, True)
    assert source.read_keys == ["1", "3"]
    assert not survey_all(numbered(10), is_even, limit=5).limited, "as many as there are is no limit"


@pytest.mark.parametrize("sample", [10, 1000])
def test_a_sample_of_all_is_no_sample(sample: int) -> None:
    survey = survey_all(numbered(10), sample=sample)
    assert (survey.sampled, survey.images, survey.scale) == (False, 10, 1.0)


def test_a_sample_is_drawn_evenly_from_what_is_left() -> None:
    drawn: Counter[str] = Counter()
    for seed in range(400):
        source = numbered(20)
        survey = survey_all(source, is_even, sample=3, seed=seed)
        assert (survey.sampled, survey.looked_at, survey.left, survey.images) == (True, 3, 10, 10)
        drawn.update(source.read_keys)
    assert drawn.total() == 1200
    assert set(drawn) == {str(number) for number in range(1, 20, 2)}
    assert max(abs(count - 120) for count in drawn.values()) < 40  # 4 standard deviations


def test_unreadable_images_of_a_sample_stand_for_others() -> None:
    source = Listing({str(number): png(20, 10) if number % 4 else b"" for number in range(4000)})
    survey = survey_all(source, sample=400)
    assert survey.images == pytest.approx(3000, rel=0.1)
    assert survey.left == 4000


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="1 or more"):
        survey_all(numbered(3), sample=0)


def test_progress_is_told_now_and_then() -> None:
    source, told = numbered(2500), []
    survey_listing(source, look_at(source), [None], random.Random(0), sample=1, observer=told.append)
    assert told == [1000, 2000]
