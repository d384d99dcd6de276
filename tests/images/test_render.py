"""What is sent looks as the original does to a person, whatever it is stored as."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.images import ImageOptions, decode_rgb, prepare
from tests.helpers.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    animation,
    decoded,
    display_p3_profile,
    encoded,
    exif,
    photo,
    psnr,
    quadrants,
    stored,
)


def prepared(data: bytes, width: int = 32, height: int = 24) -> Image.Image:
    return decoded(prepare(data, lambda *_: (width, height), ImageOptions(jpeg_quality=95)).data).convert("RGB")


def near(image: Image.Image, position: tuple[int, int], colour: tuple[int, int, int], levels: int = 16) -> bool:
    pixel = image.getpixel(position)
    assert isinstance(pixel, tuple)
    return max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) <= levels


@pytest.mark.parametrize("size", [(64, 48), (32, 24)])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff", "avif"])
def test_every_orientation_is_upright(kind: str, orientation: int, size: tuple[int, int]) -> None:
    data = encoded(stored(quadrants(), orientation), kind, exif=exif(orientation))
    image = prepared(data, *size)
    left, right, top, bottom = size[0] // 4, size[0] * 3 // 4, size[1] // 4, size[1] * 3 // 4
    assert near(image, (left, top), RED, 40)
    assert near(image, (right, top), GREEN, 40)
    assert near(image, (left, bottom), BLUE, 40)
    assert near(image, (right, bottom), WHITE, 40)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("size", [(64, 48), (32, 24)])
def test_transparent_is_white_and_half_transparent_half_white(mode: str, size: tuple[int, int]) -> None:
    image = Image.new(mode, (64, 48), 0)
    half = (100, 100, 100, 128) if mode == "RGBA" else (100, 128)
    image.paste(half, (0, 0, 32, 48))
    shown = prepared(encoded(image, "png"), *size)
    assert near(shown, (size[0] // 4, size[1] // 2), (177, 177, 177), 3)
    assert near(shown, (size[0] - 4, size[1] // 2), WHITE, 3)


@pytest.mark.parametrize("kind", ["png", "gif"])
@pytest.mark.parametrize("size", [(64, 48), (32, 24)])
def test_a_transparent_palette_colour_is_white(kind: str, size: tuple[int, int]) -> None:
    image = quadrants().quantize(4)
    red = image.getpixel((0, 0))
    shown = prepared(encoded(image, kind, transparency=red), *size)
    assert near(shown, (2, 2), WHITE, 6)
    assert near(shown, (2, size[1] - 3), BLUE)


def test_a_palette_with_degrees_of_transparency() -> None:
    image = quadrants().quantize(4)
    red = image.getpixel((0, 0))
    degrees = bytes(128 if index == red else 255 for index in range(4))
    shown = prepared(encoded(image, "png", transparency=degrees), 64, 48)
    assert near(shown, (5, 5), (242, 137, 137), 2)


def test_a_colour_key_is_white() -> None:
    image = Image.new("RGB", (64, 48), (9, 9, 9))
    shown = prepared(encoded(image, "png", transparency=(9, 9, 9)), 64, 48)
    assert near(shown, (5, 5), WHITE, 3)


@pytest.mark.parametrize("size", [(64, 48), (32, 24)])
def test_cmyk(size: tuple[int, int]) -> None:
    shown = prepared(encoded(quadrants().convert("CMYK"), quality=95), *size)
    assert psnr(shown, quadrants().resize(size)) > 24


def big_endian_tiff(pixels: np.ndarray) -> bytes:
    """16-bit grey as a Motorola machine writes it; Pillow only reads that."""
    height, width = pixels.shape
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: pixels.nbytes}
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack(">H", len(tags)) + entries + bytes(4)
    return struct.pack(">2sHI", b"MM", 42, 8 + pixels.nbytes) + pixels.astype(">u2").tobytes() + directory


@pytest.mark.parametrize("kind", ["png", "tiff", "big-endian tiff"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64, dtype=np.uint16), (48, 1))
    data = big_endian_tiff(ramp) if kind == "big-endian tiff" else encoded(Image.fromarray(ramp), kind)
    shown = np.asarray(prepared(data, 64, 48).convert("L"), int)
    assert np.abs(shown[20] - np.linspace(0, 255, 64)).max() <= 4


def test_floats_are_stretched() -> None:
    ramp = np.tile(np.linspace(-0.5, 1.5, 64, dtype=np.float32), (48, 1))
    shown = np.asarray(prepared(encoded(Image.fromarray(ramp), "tiff"), 64, 48).convert("L"), int)
    assert np.abs(shown[20] - np.linspace(0, 255, 64)).max() <= 4


def test_a_float_image_of_one_value() -> None:
    assert prepared(encoded(Image.new("F", (64, 48), 7.0), "tiff")).size == (32, 24)


def test_1_bit() -> None:
    image = photo().convert("1")
    shown = prepared(encoded(image, "png"))
    assert psnr(shown, image.convert("L").resize((32, 24), Image.Resampling.LANCZOS)) > 30


def test_1_bit_with_a_transparent_colour() -> None:
    data = encoded(Image.new("1", (64, 48), 0), "png", transparency=0)
    assert near(prepared(data, 64, 48), (5, 5), WHITE, 3)


def test_the_first_frame_of_an_animation() -> None:
    for kind in ("gif", "png", "webp"):
        assert psnr(prepared(animation(kind)), quadrants(32, 24)) > 24


def test_lab() -> None:
    lab = ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(photo(), ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    assert image is not None
    shown = prepared(encoded(image, "tiff"), 64, 48)
    assert psnr(shown, photo()) > 30


@pytest.mark.parametrize("size", [(64, 48), (32, 24)])
def test_a_wide_gamut_photo_comes_out_in_srgb(size: tuple[int, int]) -> None:
    # (234, 51, 35) in Display P3 is the pure red of sRGB, near enough (W3C's css-color-4 converts it so).
    data = encoded(Image.new("RGB", (64, 48), (234, 51, 35)), quality=95, icc_profile=display_p3_profile())
    assert near(prepared(data, *size), (10, 10), (255, 0, 0), 8)
    assert decode_rgb(data)[10, 10, 0] > 250


@pytest.mark.parametrize("profile", [b"", b"broken", bytes(600)])
def test_a_broken_profile_changes_nothing(profile: bytes) -> None:
    image = photo()
    for mode in ("RGB", "CMYK"):
        plain = encoded(image.convert(mode), quality=95)
        assert prepared(encoded(image.convert(mode), quality=95, icc_profile=profile)) == prepared(plain)


def test_a_profile_of_another_colour_space_is_ignored() -> None:
    grey = encoded(photo().convert("L"), quality=95, icc_profile=display_p3_profile())
    assert psnr(prepared(grey), prepared(encoded(photo().convert("L"), quality=95))) == 99.0


def test_a_bmp_from_the_top() -> None:
    data = bytearray(encoded(quadrants(), "bmp"))
    struct.pack_into("<i", data, 22, -48)
    assert near(prepared(bytes(data), 64, 48), (5, 5), BLUE)  # the rows in reverse order


def test_a_gif_frame_larger_than_its_screen() -> None:
    data = bytearray(encoded(quadrants().quantize(4), "gif"))
    struct.pack_into("<HH", data, 6, 10, 10)
    result = prepare(bytes(data), lambda width, height: (width, height), ImageOptions())
    assert (result.probe.width, result.probe.height) == (64, 48)
    assert (result.width, result.height) == decoded(result.data).size


def test_resizing_with_and_without_cykooz_resizer_agrees() -> None:
    pytest.importorskip("cykooz_resizer")
    from pipeline.images import resize as resizing

    fast = resizing._cykooz()
    assert fast is not None
    rng = np.random.default_rng(1)
    alpha = Image.fromarray(rng.integers(0, 255, (150, 200), dtype=np.uint8)).resize((200, 150))
    for image in (photo(200, 150), photo(200, 150).convert("L"), photo(200, 150).convert("CMYK")):
        box = (0, 0, 199.5, 149.25)
        difference = np.abs(
            np.asarray(fast(image, (70, 50), box), int) - np.asarray(resizing.with_pillow(image, (70, 50), box), int)
        )
        assert difference.max() <= 2
    rgba = photo(200, 150)
    rgba.putalpha(alpha)
    ours, theirs = (np.asarray(one(rgba, (70, 50), (0, 0, 200, 150)), int) for one in (fast, resizing.with_pillow))
    assert np.abs(ours - theirs).max() <= 6
