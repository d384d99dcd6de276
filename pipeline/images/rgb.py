"""Pixels without a file around them: of an image, for those that look at them; of a video's frame, to make one."""

import io
from typing import TYPE_CHECKING

from pipeline.images.options import ImageOptions, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def decode_rgb(data: bytes) -> "NDArray[np.uint8]":
    """Shape (height, width, 3), sRGB, upright, on white; read-only. Raises ImageError as `prepare` does."""
    import numpy as np

    from pipeline.images.decode import open_image
    from pipeline.images.render import render

    header, image = open_image(data, ImageOptions().max_pixels)
    return np.asarray(render(image, data, header, (header.width, header.height)).convert("RGB"))


def encode_rgb(rgb: bytes, size: Size, orientation: int, options: ImageOptions) -> bytes:
    """A JPEG of 24 bits a pixel in rows, `size` = (width, height), turned upright by its EXIF orientation."""
    from PIL import Image

    from pipeline.images.render import TURNS

    image = Image.frombytes("RGB", size, rgb)
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=options.jpeg_quality)
    return buffer.getvalue()
