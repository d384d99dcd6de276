"""From a listed image to a request, in one hop: read, probe, hash, choose dimensions, shrink, encode, splice."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.engine.record import Unprepared
from pipeline.errors import ImageError, RunError, UserError
from pipeline.images import NO_BOUNDS, ImageOptions, SendBounds, fingerprint, hash_bytes, prepare, probe
from pipeline.items import Failure, Prepared, Probe, Request, Sent, SourceImage
from pipeline.texts import one_line

log = logging.getLogger(__name__)

Fit = Callable[[int, int], tuple[int, int]]
Encode = Callable[[Prepared | str, str | None], bytes]
"""The body for an image, or for the address of one, with its own prompt if it has one."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An image of a remote source, whose bytes are here already."""

    image: SourceImage
    data: bytes = field(repr=False)
    dimensions: tuple[int, int] | None = None
    """To make of it, in place of the best ones for the model."""
    by_url: bool = False
    """The model fetches it itself; `data` is only its beginning, with the header."""


Listed = SourceImage | Fetched
"""What the processes are given: an image to be read, or one that was fetched."""


Bounds = Callable[[int], SendBounds]
"""What each of so many images in a request must keep to."""


def _no_bounds(count: int) -> SendBounds:
    return NO_BOUNDS


class Preparer:
    """Holds nothing that changes, and can be pickled: it works in another process."""

    def __init__(
        self,
        read: Callable[[SourceImage], bytes],
        options: ImageOptions,
        fit: Fit,
        encode: Encode,
        image_tokens: Callable[[int, int], int | None],
        text_tokens: Callable[[str | None], int | None],
        bounds: Bounds = _no_bounds,
        *,
        fingerprints: bool = False,
    ) -> None:
        """`text_tokens`: of a request but for the image, by the prompt of its own that an image may have."""
        self._read = read
        self._options = options
        self._fit = fit
        self._encode = encode
        self._image_tokens = image_tokens
        self._text_tokens = text_tokens
        self._bounds = bounds
        self._fingerprints = fingerprints

    def __call__(self, images: Sequence[Listed]) -> list[Request | Unprepared]:
        """One result for each image, in order. Several small ones share a hop: it costs as much as preparing one.

        Raises RunError when the trouble is not the image's.
        """
        return [self._prepare(image) for image in images]

    def _prepare(self, listed: Listed) -> Request | Unprepared:
        image, data = (listed.image, listed.data) if isinstance(listed, Fetched) else (listed, None)
        fit = _exactly(listed.dimensions) if isinstance(listed, Fetched) and listed.dimensions else self._fit
        if image.failure:
            return Unprepared(image, image.failure)
        try:
            if isinstance(listed, Fetched) and listed.by_url:
                return self._request_by_url(image, probe(listed.data))
            if data is None:
                data = self._read(image)
            return self._request(image, prepare(data, fit, self._options, self._bounds(1)))
        except RunError:  # the source itself is gone, or refuses us
            raise
        except Exception as error:
            return _unprepared(image, failure_of(error, image.key), data)

    def _request(self, image: SourceImage, prepared: Prepared) -> Request:
        image_tokens, text_tokens = self._image_tokens(prepared.width, prepared.height), self._text_tokens(image.prompt)
        return Request(
            image=image,
            probe=prepared.probe,
            content_hash=prepared.content_hash,
            original_bytes=prepared.original_bytes,
            sent=Sent(prepared.format, prepared.width, prepared.height, len(prepared.data)),
            body=self._encode(prepared, image.prompt),
            predicted_image_tokens=image_tokens,
            predicted_prompt_tokens=None if image_tokens is None or text_tokens is None else text_tokens + image_tokens,
            fingerprint=fingerprint(prepared.data) if self._fingerprints else None,
        )

    def _request_by_url(self, image: SourceImage, header: Probe) -> Request:
        """The model's server fetches the original, and shrinks it by its own rule: that is what it costs."""
        image_tokens = self._image_tokens(header.width, header.height)
        text_tokens = self._text_tokens(image.prompt)
        return Request(
            image=image,
            probe=header,
            content_hash=None,
            original_bytes=image.bytes,
            sent=Sent(header.format, header.width, header.height, 0),
            body=self._encode(image.address or image.uri, image.prompt),
            predicted_image_tokens=image_tokens,
            predicted_prompt_tokens=None if image_tokens is None or text_tokens is None else text_tokens + image_tokens,
            by_url=True,
        )


def _exactly(dimensions: tuple[int, int]) -> Fit:
    return lambda *_: dimensions


def failure_of(error: Exception, key: str) -> Failure:
    """What an exception in the work on one image says in its row."""
    match error:
        case ImageError():
            return Failure(error.reason, one_line(str(error)))
        case UserError():  # a size that the model does not take
            return Failure("too_large", one_line(str(error)))
        case MemoryError():
            return Failure("too_large", "The image needs more memory than there is.")
    log.error("Unexpected trouble with %s", key, exc_info=error)  # a bug somewhere costs one row, not the night
    return Failure("undecodable", one_line(f"Unexpected trouble: {type(error).__name__}: {error}"))


def _unprepared(image: SourceImage, failure: Failure, data: bytes | None) -> Unprepared:
    """Keep what the bytes still say: a row with size and hash tells a changed file from the same broken one."""
    if data is None:
        return Unprepared(image, failure)
    try:
        header = probe(data)
    except Exception:  # the header may be what is broken
        header = None
    return Unprepared(image, failure, header, hash_bytes(data), len(data))
