"""An image that has to be decoded, or at least looked at by its decoder, to bytes to send."""

import io
import math
from collections.abc import Callable

from PIL import Image

from pipeline.errors import ImageError
from pipeline.images.colour import needs_conversion
from pipeline.images.decode import image_errors, open_image
from pipeline.images.options import ImageOptions, SendBounds, Size
from pipeline.images.probe import is_complete
from pipeline.images.render import render
from pipeline.images.resize import resize
from pipeline.items import Probe

_JPEG_SIDE_MAX = 65_500
_LOWER_QUALITIES = (75, 60, 45)
"""Of an image that takes too many bytes; below that artefacts are what a model would describe."""
_SHRINK_AGAIN = 0.9
"""Of each side: what a first guess by the number of bytes leaves too large is close to it."""


def encode(
    header: Probe, data: bytes, size: Size, fit: Callable[[int, int], Size], options: ImageOptions, bounds: SendBounds
) -> tuple[Probe, str, Size, bytes]:
    """What the decoder says of the file `data`; and the format, size and bytes to send, which may be its own."""
    opened, image = open_image(data, options.max_pixels)
    if (opened.width, opened.height) != (header.width, header.height):  # Pillow knows better, of odd files
        size = bounds.within(fit(opened.width, opened.height))
    if size == (opened.width, opened.height) and _passes(image, opened, data, options, bounds):
        return opened, opened.format, size, data
    return opened, *_encoded(render(image, data, opened, size), options, bounds)


def _passes(image: Image.Image, header: Probe, data: bytes, options: ImageOptions, bounds: SendBounds) -> bool:
    """Whether an image of the right size can be sent byte for byte.

    Only if every viewer would show it alike: not CMYK, not 16-bit grey (often clipped to white), nothing transparent
    (often shown on black), no colour profile that matters (endpoints ignore it). A file with an unusual end is decoded,
    which tells whether it is cut off.
    """
    if (
        header.format not in options.pass_through
        or header.frames > 1
        or header.orientation != 1
        or not bounds.take(data)
        or not is_complete(header.format, data)
        or needs_conversion(image.info.get("icc_profile"))
    ):
        return False
    if image.mode in ("RGBA", "LA"):  # most of them are opaque screenshots; `render` will not decode again
        with image_errors(data, header.format):
            return image.getchannel("A").getextrema()[0] == 255
    return image.mode in ("L", "RGB", "P", "1") and "transparency" not in image.info


def _encoded(image: Image.Image, options: ImageOptions, bounds: SendBounds) -> tuple[str, Size, bytes]:
    if image.mode in ("P", "1"):
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        if bounds.take(buffer.getvalue()):
            return "png", image.size, buffer.getvalue()
        image = image.convert("RGB")
    if max(image.size) > _JPEG_SIDE_MAX:
        raise ImageError(
            "too_large", f"A side of {max(image.size)} pixels is more than JPEG holds; choose to shrink it."
        )
    for quality in (options.jpeg_quality, *(lower for lower in _LOWER_QUALITIES if lower < options.jpeg_quality)):
        data = _jpeg(image, quality)
        if bounds.take(data):
            return "jpeg", image.size, data
    return _shrunk(image, quality, len(data), bounds)


def _shrunk(image: Image.Image, quality: int, taken: int, bounds: SendBounds) -> tuple[str, Size, bytes]:
    """Of as many pixels as the bytes allow; `taken` is what they take at present."""
    bound = bounds.file_bytes
    assert bound is not None, "something was too large"
    factor = min(_SHRINK_AGAIN, math.sqrt(bound.most / taken))
    while bounds.may_shrink and max(image.size) > 1:
        width, height = (max(1, math.floor(side * factor)) for side in image.size)
        image = resize(image, (width, height), (0, 0, *image.size))
        data = _jpeg(image, quality)
        if bounds.take(data):
            return "jpeg", image.size, data
        factor = _SHRINK_AGAIN
    hint = "" if bounds.may_shrink else "; choose an image policy that shrinks it"
    raise ImageError(
        "too_large", f"The image takes {taken:,} bytes, and {bound.most:,} may be sent ({bound.source}){hint}."
    )


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
