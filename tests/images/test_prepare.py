import io
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline.errors import ImageError
from pipeline.images import Bound, ImageOptions, SendBounds, decode, decode_rgb, hash_bytes, prepare
from pipeline.images.headers import jpeg
from tests.helpers.pictures import (
    animation,
    decoded,
    display_p3_profile,
    encoded,
    exif,
    photo,
    psnr,
    quadrants,
    srgb_profile,
    stored,
)

OPTIONS = ImageOptions()


def as_it_is(width: int, height: int) -> tuple[int, int]:
    return width, height


def half(width: int, height: int) -> tuple[int, int]:
    return width // 2, height // 2


def graphic(transparent: bool = False) -> Image.Image:
    """A palette image; with `transparent`, its first colour cannot be seen."""
    image = quadrants().quantize(4)
    if transparent:
        image.info["transparency"] = 0
    return image


@pytest.mark.parametrize(
    "data",
    [
        encoded(photo()),
        encoded(photo().convert("L")),
        encoded(photo(), icc_profile=srgb_profile()),
        encoded(photo(), icc_profile=b"not a profile"),
        encoded(photo()) + b"appended by a phone",
        encoded(photo(), "png"),
        encoded(graphic(), "png"),
        encoded(photo().convert("1"), "png"),
        encoded(photo().convert("RGBA"), "png"),
        encoded(photo().convert("LA"), "png"),
        encoded(photo(), "webp"),
        encoded(graphic(), "gif"),
    ],
    ids=[
        "jpeg",
        "grey",
        "sRGB",
        "broken profile",
        "trailer",
        "png",
        "palette",
        "1 bit",
        "opaque",
        "opaque grey",
        "webp",
        "gif",
    ],
)
def test_what_fits_is_sent_byte_for_byte(data: bytes) -> None:
    prepared = prepare(data, as_it_is, OPTIONS)
    assert prepared.data is data
    assert (prepared.format, prepared.width, prepared.height) == (prepared.probe.format, 64, 48)
    assert prepared.original_bytes == len(data)
    assert prepared.content_hash == hash_bytes(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (encoded(stored(photo(), 6), exif=exif(6)), "jpeg"),
        (encoded(photo().convert("CMYK")), "jpeg"),
        (encoded(photo(), icc_profile=display_p3_profile()), "jpeg"),
        (encoded(photo(), "tiff"), "jpeg"),
        (encoded(photo(), "bmp"), "jpeg"),
        (encoded(photo(), "avif"), "jpeg"),
        (encoded(photo().convert("RGBA").rotate(20), "png"), "jpeg"),
        (animation("webp"), "jpeg"),
        (animation("png"), "jpeg"),
        (animation("gif"), "png"),
        (encoded(graphic(transparent=True), "png"), "png"),
        (encoded(graphic(), "bmp"), "png"),
        (encoded(photo().convert("1"), "tiff"), "png"),
    ],
    ids=[
        "turned", "CMYK", "Display P3", "tiff", "bmp", "avif", "transparent", "animated webp", "animated png",
        "animated gif",
        "transparent palette", "palette bmp", "1-bit tiff",
    ],
)  # fmt: skip
def test_what_viewers_show_differently_is_encoded_anew(data: bytes, kind: str) -> None:
    prepared = prepare(data, as_it_is, OPTIONS)
    assert prepared.data != data
    assert prepared.format == kind
    sent = decoded(prepared.data)
    assert (sent.format or "").lower() == kind
    assert sent.size == (prepared.width, prepared.height) == (64, 48)


def test_a_format_that_the_endpoint_does_not_take() -> None:
    prepared = prepare(encoded(photo(), "webp"), as_it_is, ImageOptions(pass_through=("jpeg", "png")))
    assert prepared.format == "jpeg"


def test_a_palette_graphic_stays_lossless() -> None:
    original = encoded(graphic(), "bmp")
    prepared = prepare(original, as_it_is, OPTIONS)
    assert np.array_equal(decoded(prepared.data).convert("RGB"), decoded(original).convert("RGB"))


def test_what_does_not_fit_is_shrunk_to_the_size_asked_for() -> None:
    seen: list[tuple[int, int]] = []

    def fit(width: int, height: int) -> tuple[int, int]:
        seen.append((width, height))
        return 21, 77

    data = encoded(stored(photo(64, 240), 8), exif=exif(8))
    prepared = prepare(data, fit, OPTIONS)
    assert seen == [(64, 240)]
    assert (prepared.width, prepared.height) == decoded(prepared.data).size == (21, 77)
    assert (prepared.probe.width, prepared.probe.height, prepared.probe.orientation) == (64, 240, 8)


@pytest.mark.parametrize("size", [(1024, 768), (1000, 751), (500, 375), (130, 97), (37, 28), (1, 1)])
def test_shrinking_while_decoding_looks_like_full_decoding(size: tuple[int, int]) -> None:
    original = photo(2001, 1499, grain=6)
    prepared = prepare(encoded(original, quality=90), lambda *_: size, ImageOptions(jpeg_quality=95))
    reference = original.resize(size, Image.Resampling.LANCZOS)
    assert psnr(decoded(prepared.data), reference) > 36


def test_no_metadata_is_sent() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("GPS", "secret")
    files = [
        encoded(photo(), exif=exif(1), comment=b"secret", icc_profile=display_p3_profile(), dpi=(300, 300)),
        encoded(photo(), "png", exif=exif(1), pnginfo=text, icc_profile=srgb_profile()),
        encoded(graphic(transparent=True), "png", exif=exif(1), pnginfo=text, icc_profile=srgb_profile()),
    ]
    for data, fit in zip(files, (half, half, as_it_is), strict=True):
        sent = prepare(data, fit, OPTIONS).data
        assert sent != data
        assert b"secret" not in sent
        assert {"exif", "icc_profile", "comment", "dpi", "GPS"}.isdisjoint(decoded(sent).info)


def test_a_file_too_large_to_send_is_encoded_smaller() -> None:
    data = encoded(photo(200, 200, grain=30), quality=100)
    limit = len(data) - 1
    prepared = prepare(data, as_it_is, OPTIONS, SendBounds(Bound(limit, "somebody")))
    assert len(prepared.data) <= limit
    assert (prepared.width, prepared.height) == (200, 200)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_what_takes_too_many_bytes_loses_quality_first_and_then_pixels(kind: str) -> None:
    grain = photo(400, 300, grain=60)
    data = encoded(grain.quantize(256) if kind == "png" else grain, kind, quality=100)
    worst = len(encoded(grain, quality=45))
    in_full = prepare(data, as_it_is, OPTIONS, SendBounds(Bound(worst * 5 // 4, "somebody")))
    assert (in_full.width, in_full.height, in_full.format) == (400, 300, "jpeg")
    assert len(in_full.data) <= worst * 5 // 4 < len(data)
    smaller = prepare(data, as_it_is, OPTIONS, SendBounds(Bound(worst // 4, "somebody")))
    assert decoded(smaller.data).size == (smaller.width, smaller.height)
    assert 150 < smaller.width < 400
    assert abs(smaller.width / smaller.height - 4 / 3) < 0.02
    assert len(smaller.data) <= worst // 4


def test_an_image_that_may_not_be_shrunk_is_too_large_and_says_by_whose_limit() -> None:
    data = encoded(photo(400, 300, grain=60), quality=100)
    bounds = SendBounds(Bound(5000, "Guide, 2023: 5 kB"), may_shrink=False)
    with pytest.raises(ImageError, match=r"5,000 may be sent \(Guide, 2023: 5 kB\); choose an image policy") as failure:
        prepare(data, as_it_is, OPTIONS, bounds)
    assert failure.value.reason == "too_large"
    with pytest.raises(ImageError, match=r"400 pixels is more than may be sent, 399 \(Guide\)"):
        prepare(data, as_it_is, OPTIONS, SendBounds(side_px=Bound(399, "Guide"), may_shrink=False))
    with pytest.raises(ImageError, match=r"100 may be sent \(Guide\)\."):
        prepare(data, as_it_is, OPTIONS, SendBounds(Bound(100, "Guide")))  # less than any JPEG takes


def test_a_side_that_is_too_long_is_shrunk() -> None:
    data = encoded(photo(400, 300))
    prepared = prepare(data, as_it_is, OPTIONS, SendBounds(side_px=Bound(100, "Guide")))
    assert decoded(prepared.data).size == (prepared.width, prepared.height) == (100, 75)
    assert prepare(data, half, OPTIONS, SendBounds(side_px=Bound(200, "Guide"))).width == 200


def test_a_side_that_jpeg_cannot_hold() -> None:
    with pytest.raises(ImageError) as failure:
        prepare(encoded(Image.new("RGB", (70_000, 2)), "bmp"), as_it_is, OPTIONS)
    assert failure.value.reason == "too_large"


def test_threads_give_what_one_gives() -> None:
    profile = display_p3_profile()
    files = [encoded(photo(300 + n, 200, grain=5, seed=n), icc_profile=profile) for n in range(24)]
    alone = [prepare(data, half, OPTIONS) for data in files]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda data: prepare(data, half, OPTIONS), files)) == alone


def test_decode_rgb() -> None:
    pixels = decode_rgb(encoded(stored(quadrants(), 6), "png", exif=exif(6)))
    assert (pixels.shape, pixels.dtype) == ((48, 64, 3), np.uint8)
    assert np.array_equal(pixels, quadrants())


def test_decode_rgb_of_grey_and_palette() -> None:
    assert decode_rgb(encoded(photo().convert("L"), "png")).shape == (48, 64, 3)
    assert np.array_equal(decode_rgb(encoded(graphic(), "gif")), graphic().convert("RGB"))


def test_heic_is_read_and_turned() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = encoded(stored(quadrants(256, 192), 6), "heif", exif=exif(6), quality=95)
    prepared = prepare(data, half, OPTIONS)
    assert (prepared.probe.format, prepared.probe.width, prepared.probe.height) == ("heic", 256, 192)
    assert psnr(decoded(prepared.data), quadrants(128, 96)) > 25


def test_heic_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = encoded(photo(), "heif")
    decode._optional_decoder.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"nightcap\[heif\]") as failure:
        prepare(data, as_it_is, OPTIONS)
    assert failure.value.reason == "unsupported_format"


def test_broken_metadata_warn_nobody(recwarn: pytest.WarningsRecorder) -> None:
    broken = b"Exif\0\0II*\0\x08\0\0\0\x05\0" + b"\x1a\x01\x05\0\x01\0\0\0\xff\xff\xff\x7f"
    prepared = prepare(encoded(photo(), exif=broken), half, OPTIONS)
    assert prepared.width == 32
    assert not recwarn.list


def test_a_multi_picture_jpeg_is_its_first_picture() -> None:
    buffer = io.BytesIO()
    quadrants().save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    prepared = prepare(buffer.getvalue(), half, OPTIONS)
    assert prepared.probe.format == "jpeg"
    assert psnr(decoded(prepared.data), quadrants(32, 24)) > 25


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("extra", [{}, {"progressive": True}, {"icc_profile": b"x" * 200}, {"quality": 100}])
def test_a_plain_jpeg_is_known_at_a_glance(mode: str, extra: dict[str, object]) -> None:
    data = encoded(photo(40, 30).convert(mode), **extra)
    assert jpeg.is_plain(data) == (mode != "CMYK" and "icc_profile" not in extra)
    for cut in (10, len(data) // 2, len(data) - 2):
        with suppress(ImageError):
            assert not jpeg.is_plain(data[:cut])


def test_the_content_hash_is_blake3_as_published() -> None:
    # Source: the BLAKE3 test vectors, input of length 0.
    assert hash_bytes(b"") == "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
