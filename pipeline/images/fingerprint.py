"""How a picture looks, in 56 bytes: near-duplicates are alike in them whatever their size, format and quality.

64 bits say how light and dark are spread: the signs of the lowest frequencies of a cosine transform, taken against
their median (the usual perceptual hash). They do not see colour, by which two shirts differ in nothing else; so the
colours of a grid of 4x4 cells belong to it.
"""

from functools import cache
from typing import TYPE_CHECKING

from pipeline.images.options import ImageOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE = 32
_LOW = 8
GRID = 4
LEAST_CONTRAST = 4.0
"""Mean size of a frequency below which a picture is a plain surface: its signs are noise, it resembles any other."""


def fingerprint(data: bytes) -> bytes | None:
    """8 bytes of structure and 48 of colour of an image made ready to send; None for a plain surface.

    3 ms for a JPEG of 1024x768. Raises ImageError as `prepare` does.
    """
    import numpy as np
    from PIL import Image

    from pipeline.images.decode import image_errors, open_image

    header, image = open_image(data, ImageOptions().max_pixels)
    with image_errors(data, header.format):
        image.draft("RGB", (2 * _SIDE, 2 * _SIDE))
        small = image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float64)
    grey = pixels @ (0.299, 0.587, 0.114)
    basis = _cosines()
    low = (basis @ grey @ basis.T).ravel()[1:]  # without the mean, which says how bright it is
    if np.abs(low).mean() < LEAST_CONTRAST:
        return None
    bits = np.append(low > np.median(low), False)
    cells = pixels.reshape(GRID, _SIDE // GRID, GRID, _SIDE // GRID, 3).mean(axis=(1, 3))
    return bytes(np.packbits(bits)) + bytes(cells.round().astype(np.uint8).ravel())


@cache
def _cosines() -> "NDArray[np.float64]":
    """The first rows of the orthonormal cosine transform (DCT-II)."""
    import numpy as np

    rows, columns = np.arange(_LOW)[:, None], np.arange(_SIDE)
    basis: NDArray[np.float64] = np.cos(np.pi * (2 * columns + 1) * rows / (2 * _SIDE)) * np.sqrt(2 / _SIDE)
    basis[0] /= np.sqrt(2)
    return basis
