"""The real networks on the pictures of sample_data and on pictures that show nothing."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.builtin import Describer, load_describer
from pipeline.builtin.labels import load_vocabulary
from pipeline.builtin.networks import load_networks
from pipeline.errors import ImageError, MissingExtra
from pipeline.images import decode_rgb
from pipeline.items import Usage

SAMPLES = Path(__file__).parents[2] / "sample_data"
SUBJECTS = {
    "astronaut.jpg": "A picture of a person.",
    "cat.webp": "A picture of a cat.",
    "cat-cut-out.png": "A picture of a cat.",
    "coffee-large.jpg": "A picture of a cup of coffee or tea.",
    "coffee-rotated.jpg": "A picture of a cup of coffee or tea.",
    "horse.png": "A black-and-white picture of a horse.",
    "photographer-16-bit.png": "A black-and-white picture of a person.",
    "horse-tiny.png": "A very small black-and-white picture; content not recognised.",
    "stars-panorama.jpg": "A very wide picture; content not recognised.",
}


@pytest.fixture(scope="module")
def describer() -> Describer:
    """Without OCR, which this machine may or may not have."""
    return Describer(load_networks(), load_vocabulary())


@pytest.mark.parametrize("name", SUBJECTS)
def test_says_what_the_sample_pictures_show(describer: Describer, name: str) -> None:
    reply = describer.describe_image((SAMPLES / name).read_bytes())
    assert reply.caption.startswith(SUBJECTS[name])


def test_a_reply_is_labelled_as_what_it_is(describer: Describer) -> None:
    reply = describer.describe_image((SAMPLES / "cat.webp").read_bytes())
    assert reply.caption == "A picture of a cat. Main colours: light brown, brown."
    assert (reply.usage, reply.finish_reason, reply.model_returned) == (Usage(), "stop", "describe")


def test_the_same_words_from_four_threads(describer: Describer) -> None:
    pictures = [decode_rgb((SAMPLES / name).read_bytes()) for name in SUBJECTS if name != "coffee-large.jpg"]
    alone = [describer.describe(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(describer.describe, pictures * 2)) == alone * 2


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8)


def gradient() -> NDArray[np.uint8]:
    ramp = np.linspace(0, 255, 320).astype(np.uint8)
    return np.stack([np.tile(ramp, (240, 1)), np.tile(ramp[::-1], (240, 1)), np.full((240, 320), 90, np.uint8)], axis=2)


def chessboard() -> NDArray[np.uint8]:
    squares = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    return np.repeat(np.kron(squares, np.ones((40, 40), np.uint8))[:, :, None], 3, axis=2)


@pytest.mark.parametrize(
    "picture", [noise(1), noise(2), gradient(), chessboard()], ids=["noise", "noise", "ramp", "chess"]
)
def test_claims_nothing_where_nothing_is(describer: Describer, picture: NDArray[np.uint8]) -> None:
    assert "picture; content not recognised." in describer.describe(picture)


def test_a_blank_picture_is_called_blank(describer: Describer) -> None:
    assert describer.describe(np.full((300, 300, 3), 255, np.uint8)) == "A plain white picture."


@settings(max_examples=10)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 9))
def test_any_shape_gets_a_sentence(describer: Describer, width: int, height: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    assert describer.describe(picture).endswith(".")


def test_a_file_that_is_no_picture_is_an_image_error(describer: Describer) -> None:
    with pytest.raises(ImageError):
        describer.describe_image(b"<html>not found</html>")


def test_without_onnxruntime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"builtin:describe.*pip install 'nightcap\[builtin\]'"):
        load_describer()
