"""Colour names of plain colours and of mixtures."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.builtin.colours import PALETTE, is_grey, is_plain, main_colours, sample, to_lab


def stripes(*colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Equal stripes, 200 pixels high."""
    return np.concatenate([np.full((200, 60, 3), colour, np.uint8) for colour in colours], axis=1)


def test_lab_of_known_colours() -> None:
    white, black, red = to_lab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], np.uint8))
    assert white == pytest.approx([100, 0, 0], abs=0.1)
    assert black == pytest.approx([0, 0, 0], abs=0.1)
    assert red == pytest.approx([53.2, 80.1, 67.2], abs=0.2)


@pytest.mark.parametrize("name", PALETTE)
def test_each_example_has_its_own_name(name: str) -> None:
    assert main_colours(sample(stripes(PALETTE[name]))) == (name,)


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("blue", (70, 95, 135)),
        ("green", (85, 125, 75)),
        ("brown", (95, 70, 50)),
        ("grey", (128, 125, 122)),
        ("light blue", (135, 185, 220)),
    ],
)
def test_muted_colours_keep_their_hue(name: str, colour: tuple[int, int, int]) -> None:
    assert main_colours(sample(stripes(colour))) == (name,)


def test_the_most_frequent_first_and_little_ones_not_at_all() -> None:
    red, white, blue = PALETTE["red"], PALETTE["white"], PALETTE["blue"]
    assert main_colours(sample(stripes(red, white, white, white))) == ("white", "red")
    assert main_colours(sample(stripes(*[white] * 9, blue))) == ("white",)


def test_a_tint_is_a_colour_and_jpeg_noise_is_not() -> None:
    noisy = np.random.default_rng(0).integers(-2, 3, (200, 200, 3)) + np.linspace(20, 230, 200)[:, None, None]
    assert is_grey(sample(noisy.astype(np.uint8)))
    assert not is_grey(sample(stripes((112, 66, 20), (200, 170, 130))))
    assert not is_grey(sample(stripes(*[(90, 90, 90)] * 19, PALETTE["red"])))


def test_plain_means_the_same_all_over() -> None:
    assert is_plain(sample(stripes((250, 250, 250), (248, 250, 251))))
    assert not is_plain(sample(stripes((250, 250, 250), (230, 230, 230))))
