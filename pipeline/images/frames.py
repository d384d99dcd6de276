"""Pixels that were never in an image file, as one: frames of a video."""

import io

from PIL import Image

from pipeline.images.options import ImageOptions
from pipeline.images.render import TURNS
from pipeline.images.resize import Size


def encode_rgb(rgb: bytes, size: Size, orientation: int, options: ImageOptions) -> bytes:
    """A JPEG of 24 bits a pixel in rows, `size` = (width, height), turned upright by its EXIF orientation."""
    image = Image.frombytes("RGB", size, rgb)
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=options.jpeg_quality)
    return buffer.getvalue()
