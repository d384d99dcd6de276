"""Files that are cut off, damaged or made to do harm: an ImageError with a stable reason, never half a picture."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import ImageError
from pipeline.images import ImageOptions, decode_rgb, prepare
from tests.helpers.pictures import animation, decoded, encoded, exif, photo, psnr, srgb_profile, stored

REASONS = {"unsupported_format", "undecodable", "truncated_file", "bomb", "too_large"}
WHOLE = {
    "jpeg": encoded(photo(120, 90, grain=8)),
    "progressive": encoded(photo(120, 90, grain=8), progressive=True, icc_profile=srgb_profile()),
    "turned": encoded(stored(photo(120, 90, grain=8), 6), exif=exif(6)),
    "png": encoded(photo(120, 90, grain=8), "png"),
    "palette": encoded(photo(120, 90, grain=8).quantize(64), "png"),
    "gif": encoded(photo(120, 90, grain=8).quantize(64), "gif"),
    "webp": encoded(photo(120, 90, grain=8), "webp"),
    "bmp": encoded(photo(120, 90, grain=8), "bmp"),
    "tiff": encoded(photo(120, 90, grain=8), "tiff"),
    "avif": encoded(photo(120, 90, grain=8), "avif"),
}


def as_it_is(width: int, height: int) -> tuple[int, int]:
    return width, height


def half(width: int, height: int) -> tuple[int, int]:
    return max(1, width // 2), max(1, height // 2)


def reason_of(data: bytes, fit: object = as_it_is) -> str:
    with pytest.raises(ImageError) as failure:
        prepare(data, fit, ImageOptions())  # type: ignore[arg-type]
    return failure.value.reason


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize(
    "name", ["jpeg", "progressive", "turned", "png", "palette", "gif", "webp", "bmp", "tiff", "avif"]
)
def test_a_file_that_was_cut_off_is_named_so(name: str, kept: float) -> None:
    data = WHOLE[name]
    cut = data[: int(len(data) * kept)]
    assert reason_of(cut) == "truncated_file"
    assert reason_of(cut, half) == "truncated_file"


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_photo() -> None:
    thumbnail = encoded(photo(16, 12))
    block = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail
    data = encoded(photo(120, 90, grain=8), exif=block)
    assert thumbnail in data
    assert prepare(data, as_it_is, ImageOptions()).data is data
    assert reason_of(data[:-400]) == "truncated_file"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_cut_never_passes_in_silence(name: str, data: st.DataObject) -> None:
    whole = WHOLE[name]
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        prepared = prepare(cut, as_it_is, ImageOptions(jpeg_quality=95))
    except ImageError as failure:
        reason = failure.reason
    else:
        reason = None  # only the end mark is missing: every pixel must be there
        assert prepared.data is not cut
        assert psnr(decoded(prepared.data), Image.fromarray(decode_rgb(whole))) > 30
    assert reason in (None, *REASONS)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=10),
)
def test_damage_raises_image_errors_only(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE[name])
    for position, value in changes:
        data[position % len(data)] = value
    try:
        prepare(bytes(data), half, ImageOptions(max_pixels=4_000_000))
    except ImageError as failure:
        reason = failure.reason
    else:
        reason = "none"
    assert reason in {*REASONS, "none"}


def test_damage_within_a_whole_file() -> None:
    data = bytearray(WHOLE["png"])
    start = len(data) // 3
    data[start : start + 2000] = bytes(2000)
    assert reason_of(bytes(data), half) == "undecodable"


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_not_decoded() -> None:
    for data in (png_of(100_000, 100_000), b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(20)):
        assert reason_of(data) == "bomb"
        with pytest.raises(ImageError, match="max_pixels"):
            decode_rgb(data)


def test_a_bomb_is_told_before_a_models_rule_is_asked() -> None:
    def refusing(width: int, height: int) -> tuple[int, int]:
        raise AssertionError("asked about a bomb")

    assert reason_of(png_of(3_000_000, 2_000_000), refusing) == "bomb"


def test_texts_that_swell_are_a_bomb() -> None:
    chunk = b"zTXtcomment\0\0" + zlib.compress(bytes(64 * 2**20))
    swollen = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data = WHOLE["png"]
    assert reason_of(data[:33] + swollen + data[33:], half) == "bomb"


def test_a_variant_that_cannot_be_read_is_not_called_damaged() -> None:
    data = bytearray(WHOLE["bmp"])
    struct.pack_into("<H", data, 28, 2)  # bits a pixel
    assert reason_of(bytes(data)) == "unsupported_format"


def test_the_limit_is_the_users() -> None:
    with pytest.raises(ImageError, match="64x48"):
        prepare(encoded(photo()), as_it_is, ImageOptions(max_pixels=64 * 48 - 1))
    assert prepare(encoded(photo()), half, ImageOptions(max_pixels=64 * 48)).width == 32


def test_a_gif_frame_that_is_a_bomb() -> None:
    data = bytearray(encoded(photo().quantize(4), "gif"))
    frame = data.index(b",", 13 + 12)
    struct.pack_into("<HH", data, frame + 5, 65535, 65535)
    assert reason_of(bytes(data)) == "bomb"


@pytest.mark.parametrize("head", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"%PDF-1.7\n", b"<svg/>", b"\xf0\x0f\0\0\x11\xaf"])
def test_only_pictures_are_opened(head: bytes) -> None:
    assert reason_of(head + bytes(2000)) == "unsupported_format"


def test_an_empty_file() -> None:
    assert reason_of(b"") == "truncated_file"


def test_an_animation_that_was_cut_off_in_its_second_frame() -> None:
    """What is captioned, the first frame, is whole."""
    data = animation("gif")
    prepared = prepare(data[:-20], as_it_is, ImageOptions())
    assert decoded(prepared.data).size == (64, 48)
