"""The one door through which bytes reach Pillow: an allow-list of formats, limits before decoding, one kind of error.

The decoders' classes are called directly instead of `Image.open`, which would try whatever plugins other packages have
registered, and reads a JPEG with an MPO index twice.
"""

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from pipeline.errors import ImageError
from pipeline.images.probe import check_pixels, is_complete, probe
from pipeline.items import Probe

_Decoder = Callable[[io.BytesIO], Image.Image]

_DECODERS: dict[str, _Decoder] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
}

UPRIGHT = frozenset({"tiff", "heic"})
"""Formats whose decoders turn the picture themselves."""

_UNSUPPORTED = re.compile("unsupported|unknown pixel mode", re.IGNORECASE)
"""What Pillow says of a variant that it does not know, whose data may be in good order."""

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what is wrong with an image stands in its row
_PILLOW_WARNINGS: object = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


def open_image(data: bytes, max_pixels: int) -> tuple[Probe, Image.Image]:
    """The first frame of the image file `data` with its header read and no pixel decoded.

    Raises ImageError: `unsupported_format`, `undecodable`, `truncated_file`, `bomb`.
    """
    header = probe(data)
    check_pixels(header, max_pixels)
    decoder = _DECODERS.get(header.format) or _optional_decoder(header.format)
    _ignore_warnings()
    with image_errors(data, header.format):
        image = decoder(io.BytesIO(data))
    width, height = image.size
    if header.orientation >= 5 and header.format not in UPRIGHT:
        width, height = height, width
    if (width, height) != (header.width, header.height):  # a GIF frame outside its screen, a cropped HEIC
        header = replace(header, width=width, height=height)
        check_pixels(header, max_pixels)
    return header, image


@contextmanager
def image_errors(data: bytes, kind: str) -> Iterator[None]:
    """Turn whatever Pillow raises over damaged data into an ImageError."""
    try:
        yield
    except (Image.DecompressionBombError, MemoryError) as error:
        raise ImageError("bomb", f"The {kind} image takes more memory than allowed to decode: {error}") from error
    except Exception as error:  # the codecs raise anything, from struct.error to AttributeError, over hostile bytes
        if isinstance(error, ValueError) and "too large" in str(error):  # a PNG's compressed texts
            raise ImageError("bomb", f"The {kind} image takes more memory than allowed to decode: {error}") from error
        if _UNSUPPORTED.match(str(error)):
            raise ImageError("unsupported_format", f"This kind of {kind} image cannot be read: {error}.") from error
        if "truncated" in str(error).lower() or not is_complete(kind, data):
            raise ImageError("truncated_file", f"The {kind} file is cut off; fetch it again.") from error
        raise ImageError("undecodable", f"The {kind} data are damaged: {error}.") from error


@cache
def _optional_decoder(kind: str) -> _Decoder:
    if kind == "avif":
        if features.check("avif"):
            return AvifImagePlugin.AvifImageFile
        raise ImageError("unsupported_format", "This build of Pillow reads no AVIF; pip install --upgrade pillow.")
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ImageError("unsupported_format", "HEIC images need pip install 'nightcap[heif]'.") from error
    decoder: _Decoder = HeifImageFile
    return decoder


def _ignore_warnings() -> None:
    """Silence what Pillow says about broken metadata.

    Filters are global and `catch_warnings` is not safe in threads, so one filter is left in place; it names Pillow's
    modules only, and is put back where a test runner took it away.
    """
    if _PILLOW_WARNINGS not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
