"""Polygons on a picture, looked at pixel by pixel."""

import numpy as np
from PIL import Image

from pipeline.images import draw_polygons
from pipeline.images.draw import COLOURS
from tests.helpers.pictures import decoded, encoded, exif, quadrants

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))


def drawn(data: bytes, *polygons: tuple[tuple[float, float], ...]) -> np.ndarray:
    return np.asarray(decoded(draw_polygons(data, polygons)))


def is_colour(pixel: np.ndarray, number: int) -> bool:
    return tuple(pixel) == tuple(bytes.fromhex(COLOURS[number - 1].removeprefix("#")))


def test_lines_lie_where_the_fractions_say_and_nowhere_else() -> None:
    grey = encoded(Image.new("RGB", (401, 201), (128, 128, 128)), "png")
    pixels = drawn(grey, SQUARE)
    assert pixels.shape == (201, 401, 3)
    for y, x in ((150, 200), (100, 100), (100, 300), (50, 250)):
        assert is_colour(pixels[y, x], 1), (y, x)
    for y, x in ((100, 200), (180, 200), (100, 350), (100, 60)):
        assert tuple(pixels[y, x]) == (128, 128, 128), (y, x)


def test_each_has_a_colour_and_a_number_of_its_own() -> None:
    grey = encoded(Image.new("RGB", (400, 400), (128, 128, 128)), "png")
    low = tuple((x, y / 2 + 0.5) for x, y in SQUARE)
    pixels = drawn(grey, tuple((x, y / 2) for x, y in SQUARE), low)
    assert any(is_colour(pixel, 1) for pixel in pixels[148:152, 200])
    assert any(is_colour(pixel, 2) for pixel in pixels[347:351, 200])
    above = pixels[220:248, 100:130].reshape(-1, 3)
    assert (above > 240).all(axis=1).any(), "a white number above the second polygon's corner"


def test_a_turned_photo_is_drawn_on_as_a_person_sees_it() -> None:
    upright = quadrants(64, 48)
    stored = encoded(upright.transpose(Image.Transpose.ROTATE_90), "jpeg", exif=exif(6), quality=95)
    pixels = drawn(stored, ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
    assert pixels.shape == (48, 64, 3)
    assert is_colour(pixels[47, 30], 1)


def test_polygons_on_the_edge_and_of_nothing_are_drawn_too() -> None:
    grey = encoded(Image.new("L", (20, 10), 128), "png")
    assert drawn(grey, ((0.0, 0.0), (1.0, 1.0)), (), ((1.0, 1.0),)).shape == (10, 20, 3)
