"""Pictures that look alike have fingerprints that are near, others have not."""

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageError
from pipeline.images import fingerprint

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"
NAMES = ("astronaut.jpg", "cat.webp", "coffee-large.jpg", "horse.png", "rocket-cmyk.jpg", "stars-panorama.jpg")


def picture(name: str) -> Image.Image:
    return Image.open(SAMPLE_DATA / name).convert("RGB")


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def apart(one: bytes | None, other: bytes | None) -> tuple[int, int]:
    """(bits, levels)."""
    assert one is not None
    assert other is not None
    assert len(one) == len(other) == 56
    bits = int.from_bytes(one[:8]) ^ int.from_bytes(other[:8])
    return bits.bit_count(), max(abs(a - b) for a, b in zip(one[8:], other[8:], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_another_quality_size_or_brightness_is_near(name: str) -> None:
    image = picture(name)
    own = fingerprint(jpeg(image))
    half = image.resize((image.width // 2, image.height // 2))
    brighter = Image.fromarray(np.clip(np.asarray(image).astype(int) + 10, 0, 255).astype(np.uint8))
    for other in (jpeg(image, 30), jpeg(half), jpeg(brighter)):
        bits, levels = apart(own, fingerprint(other))
        assert bits <= 4
        assert levels <= 16


def test_other_pictures_and_other_colours_are_not() -> None:
    prints = {name: fingerprint(jpeg(picture(name))) for name in NAMES}
    assert min(apart(prints[a], prints[b])[0] for a, b in combinations(NAMES, 2)) > 16
    recoloured = Image.fromarray(np.asarray(picture("coffee-large.jpg"))[..., [1, 2, 0]].copy())
    assert apart(prints["coffee-large.jpg"], fingerprint(jpeg(recoloured)))[1] > 100


@pytest.mark.parametrize("colour", ["white", "red", "#808080"])
def test_a_plain_surface_resembles_nothing(colour: str) -> None:
    assert fingerprint(jpeg(Image.new("RGB", (300, 200), colour))) is None


def test_what_is_no_image_is_an_image_error() -> None:
    with pytest.raises(ImageError):
        fingerprint(b"no image")
