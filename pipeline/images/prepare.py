"""Bytes of a file to bytes to send: the whole work on one image, pure and thread-safe, made for one hop to a worker."""

import io
import math
from collections.abc import Callable

from PIL import Image

from pipeline.errors import ImageError
from pipeline.images.colour import needs_conversion
from pipeline.images.decode import check_pixels, image_errors, open_image
from pipeline.images.hashing import hash_bytes
from pipeline.images.headers import jpeg
from pipeline.images.options import NO_BOUNDS, ImageOptions, SendBounds
from pipeline.images.probe import is_complete, probe
from pipeline.images.render import render
from pipeline.images.resize import Size, resize
from pipeline.items import Prepared, Probe

_JPEG_SIDE_MAX = 65_500
_LOWER_QUALITIES = (75, 60, 45)
"""Of an image that takes too many bytes; below that artefacts are what a model would describe."""
_SHRINK_AGAIN = 0.9
"""Of each side: what a first guess by the number of bytes leaves too large is close to it."""


def prepare(
    data: bytes, fit: Callable[[int, int], Size], options: ImageOptions, bounds: SendBounds = NO_BOUNDS
) -> Prepared:
    """Make the file `data` ready to send at the size `fit(width, height)`, both as a person sees the picture.

    The original's own bytes when it fits as it is; otherwise JPEG without metadata, or lossless PNG for a palette or
    black-and-white image that keeps its size. What is over `bounds` loses quality first, then pixels. Raises
    ImageError: `unsupported_format`, `undecodable`, `truncated_file`, `bomb`, `too_large`.
    """
    header = probe(data)
    check_pixels(header, options.max_pixels)  # first of all: of a bomb a model's rule would say something else
    size = _bounded(fit(header.width, header.height), bounds)
    if size == (header.width, header.height) and _is_plain(header, data, options, bounds):
        return Prepared(header, hash_bytes(data), len(data), header.format, *size, data)
    opened, image = open_image(data, options.max_pixels)
    if (opened.width, opened.height) != (header.width, header.height):  # Pillow knows better, of odd files
        size = _bounded(fit(opened.width, opened.height), bounds)
    header = opened
    if size == (header.width, header.height) and _passes(image, header, data, options, bounds):
        kind, sent = header.format, data
    else:
        kind, size, sent = _encoded(render(image, data, header, size), options, bounds)
    return Prepared(header, hash_bytes(data), len(data), kind, *size, sent)


def _bounded(size: Size, bounds: SendBounds) -> Size:
    """The same, or smaller where a side is too long."""
    longest, bound = max(size), bounds.side_px
    if bound is None or longest <= bound.most:
        return size
    if not bounds.may_shrink:
        raise ImageError(
            "too_large",
            f"A side of {longest} pixels is more than may be sent, {bound.most:,} ({bound.source}); choose an image "
            "policy that shrinks it.",
        )
    width, height = (max(1, side * bound.most // longest) for side in size)
    return width, height


def _is_plain(header: Probe, data: bytes, options: ImageOptions, bounds: SendBounds) -> bool:
    """What `_passes` says of nearly every JPEG, 60 microseconds sooner: without Pillow reading the header once more."""
    return (
        header.format == "jpeg"
        and "jpeg" in options.pass_through
        and header.orientation == 1
        and bounds.take(data)
        and jpeg.is_plain(data)
    )


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
