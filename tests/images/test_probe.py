import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ImageError
from pipeline.images import HEAD_BYTES, NeedMoreBytes, probe, probe_from
from pipeline.items import Probe
from tests.helpers.pictures import animation, encoded, exif, photo, stored

KINDS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif")


def heic(orientation: int = 1) -> bytes:
    pytest.importorskip("pillow_heif").register_heif_opener()
    return encoded(stored(photo(), orientation), "heif", exif=exif(orientation))


@pytest.mark.parametrize("kind", KINDS)
def test_each_format(kind: str) -> None:
    found = probe(encoded(photo(70, 41), kind))
    assert (found.format, found.width, found.height, found.orientation, found.frames) == (kind, 70, 41, 1, 1)


def test_heic() -> None:
    assert (probe(heic()).format, probe(heic()).width, probe(heic()).height) == ("heic", 64, 48)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif", "heic"])
def test_dimensions_are_as_a_person_sees_them(kind: str, orientation: int) -> None:
    picture = stored(photo(64, 48), orientation)
    found = probe(heic(orientation) if kind == "heic" else encoded(picture, kind, exif=exif(orientation)))
    assert (found.width, found.height, found.orientation) == (64, 48, orientation)


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_exif_in_both_byte_orders(byte_order: str) -> None:
    mark = b"II*\0" if byte_order == "<" else b"MM\0*"
    block = b"Exif\0\0" + mark + struct.pack(byte_order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    assert probe(encoded(photo(64, 48), exif=block)).width == 48


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(value: int) -> None:
    assert probe(encoded(photo(64, 48), exif=exif(value))).orientation == 1


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"lossless": True}, "webp"),
        ({"quality": 50}, "webp"),
        ({"progressive": True}, "jpeg"),
        ({"big_tiff": True}, "tiff"),
    ],
)
def test_variants(options: dict[str, object], kind: str) -> None:
    assert (probe(encoded(photo(70, 41), kind, **options)).width) == 70


@pytest.mark.parametrize(("kind", "frames"), [("png", 3), ("gif", 2), ("webp", 2), ("avif", 2)])
def test_animations(kind: str, frames: int) -> None:
    assert probe(animation(kind, 3)).frames == frames


def test_pages() -> None:
    assert probe(animation("tiff", 2)).frames == 2


def test_a_header_behind_much_metadata_asks_for_what_it_needs() -> None:
    data = encoded(photo(), icc_profile=bytes(150_000))
    with pytest.raises(NeedMoreBytes) as more:
        probe(data[:HEAD_BYTES])
    assert HEAD_BYTES < more.value.count <= len(data)

    reads: list[int] = []

    def read_head(count: int) -> bytes:
        reads.append(count)
        return data[:count]

    assert probe_from(read_head).width == 64
    assert reads[0] == HEAD_BYTES
    assert len(reads) <= 5
    assert reads == sorted(reads)


def test_a_file_that_ends_in_its_header_is_truncated() -> None:
    data = encoded(photo(), icc_profile=bytes(150_000))[:100_000]
    with pytest.raises(ImageError) as failure:
        probe_from(lambda count: data[:count])
    assert failure.value.reason == "truncated_file"


def test_an_empty_file_is_truncated() -> None:
    with pytest.raises(ImageError, match="empty") as failure:
        probe(b"")
    assert failure.value.reason == "truncated_file"


@pytest.mark.parametrize(
    "head",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"%PDF-1.7",
        b"<svg xmlns=",
        b"8BPS\0\1",
        b"\0\0\1\0\1\0",
        b"\0\0\0\x1cftypmp42\0\0\0\0",
    ],
)
def test_other_formats_are_not_read(head: bytes) -> None:
    with pytest.raises(ImageError) as failure:
        probe(head + bytes(64))
    assert failure.value.reason == "unsupported_format"


@given(st.sampled_from(KINDS), st.data())
def test_a_shorter_head_says_the_same_or_asks_for_more(kind: str, data: st.DataObject) -> None:
    whole = (
        encoded(photo(33, 17), kind, exif=exif(6)) if kind != "gif" and kind != "bmp" else encoded(photo(33, 17), kind)
    )
    expected = probe(whole)
    head = whole[: data.draw(st.integers(12, len(whole)))]
    found: Probe | NeedMoreBytes
    try:
        found = probe(head)
    except NeedMoreBytes as more:
        found = more
    if isinstance(found, NeedMoreBytes):
        assert found.count > len(head)
    else:
        assert (found.format, {found.width, found.height}) == (kind, {expected.width, expected.height})


@given(st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8))
def test_whatever_the_bytes_only_image_errors(kind: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(photo(33, 17), kind))
    for position, value in changes:
        data[position % len(data)] = value
    try:
        found = probe(bytes(data))
    except ImageError:
        return
    assert found.width > 0
    assert found.height > 0
