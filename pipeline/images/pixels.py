"""Pixels of an image file as an array, for those that look at them instead of sending them on."""

from typing import TYPE_CHECKING

from pipeline.images.decode import open_image
from pipeline.images.options import ImageOptions
from pipeline.images.render import render

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def decode_rgb(data: bytes) -> "NDArray[np.uint8]":
    """Shape (height, width, 3), sRGB, upright, on white; read-only. Raises ImageError as `prepare` does."""
    import numpy as np

    header, image = open_image(data, ImageOptions().max_pixels)
    return np.asarray(render(image, data, header, (header.width, header.height)).convert("RGB"))
