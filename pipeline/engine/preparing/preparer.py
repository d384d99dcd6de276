"""From a listed image to a request, in one hop: read, probe, hash, choose dimensions, shrink, encode, splice.

Several images that are asked about together are each prepared like a single one. One of them that cannot be made ready
is the failure of all: a question about the others would be another one.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from pipeline.api.payload import LabelledImage
from pipeline.errors import ImageError, RunError, UserError
from pipeline.images import NO_BOUNDS, ImageOptions, SendBounds, fingerprint, hash_bytes, prepare, probe
from pipeline.items import Failure, Prepared, Probe, Request, Sent, SourceImage, Unprepared
from pipeline.sources.files import uri_of
from pipeline.texts import one_line, printable

if TYPE_CHECKING:
    from pipeline.engine.preparing.videos import VideoPreparer

log = logging.getLogger(__name__)

T = TypeVar("T")

Fit = Callable[[int, int], tuple[int, int]]
Encode = Callable[[Prepared | str | Sequence[LabelledImage], str | None], bytes]
"""The body for an image, for the address of one, or for several, with its own prompt if it has one."""

LABEL_CHARACTERS = 100
"""Of a name that the model is told."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An image of a remote source, whose bytes are here already."""

    image: SourceImage
    files: tuple[bytes, ...] = field(repr=False)
    """One; of several images that are asked about together, one each."""
    by_url: bool = False
    """The model fetches it itself; the file is only its beginning, with the header."""
    path: str | None = None
    """Where the file is, when it is too large for memory; then there is none in `files`."""

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return sum(map(len, self.files))


@dataclass(frozen=True, slots=True)
class TooLarge:
    """What was sent for an image, and is to be sent with half the pixels."""

    image: SourceImage
    sent: tuple[LabelledImage, ...]


Listed = SourceImage | Fetched | TooLarge
"""What the processes are given: an image to be read, one that was fetched, or one that was sent in vain."""


def image_of(listed: Listed) -> SourceImage:
    return listed if isinstance(listed, SourceImage) else listed.image


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
        text_tokens: Callable[[str | None, Sequence[str]], int | None],
        bounds: Bounds = _no_bounds,
        videos: "VideoPreparer | None" = None,
        *,
        fingerprints: bool = False,
    ) -> None:
        """`text_tokens`: of a request but for the images, by the prompt of its own that one may have, and labels.

        `videos`: for those files that are videos; None: they are not asked about.
        """
        self._read = read
        self._options = options
        self._fit = fit
        self._encode = encode
        self._image_tokens = image_tokens
        self._text_tokens = text_tokens
        self._bounds = bounds
        self._videos = videos
        self._fingerprints = fingerprints

    def __call__(self, images: Sequence[Listed]) -> list[Request | Unprepared]:
        """One result for each image, in order. Raises RunError when the trouble is not the image's."""
        return [self.prepare(image) for image in images]

    def prepare(self, listed: Listed) -> Request | Unprepared:
        image, file = _held(listed)
        if image.failure:
            return Unprepared(image, image.failure)
        try:
            if isinstance(listed, TooLarge):
                return self.smaller(image, listed.sent)
            if self._videos and not image.members and (request := self._videos.request(image, file)):
                return request
            if image.members:
                return self._together(image, listed.files if isinstance(listed, Fetched) else None)
            if isinstance(listed, Fetched) and listed.by_url:
                return self._request_by_url(image, probe(listed.files[0]))
            if file is None:
                file = self._read(image)
                if self._videos and (request := self._videos.request(image, file)):
                    return request
            return self._request(image, self.made(file, self._fit))
        except RunError:  # the source itself is gone, or refuses us
            raise
        except Exception as error:
            return _unprepared(image, _with_hint(failure_of(error, image.key), file), file)

    def made(self, file: bytes, fit: Fit, count: int = 1) -> Prepared:
        """One of `count` images of a request."""
        return prepare(file, fit, self._options, self._bounds(count))

    def _request(self, image: SourceImage, prepared: Prepared) -> Request:
        image_tokens = self._image_tokens(prepared.width, prepared.height)
        return Request(
            image=image,
            probe=prepared.probe,
            content_hash=prepared.content_hash,
            original_bytes=prepared.original_bytes,
            sent=Sent(prepared.format, prepared.width, prepared.height, len(prepared.data)),
            body=self._encode(prepared, image.prompt),
            predicted_image_tokens=image_tokens,
            predicted_prompt_tokens=_sum((image_tokens, self._text_tokens(image.prompt, ()))),
            fingerprint=fingerprint(prepared.data) if self._fingerprints else None,
        )

    def _request_by_url(self, image: SourceImage, header: Probe) -> Request:
        """The model's server fetches the original, and shrinks it by its own rule: that is what it costs."""
        image_tokens = self._image_tokens(header.width, header.height)
        return Request(
            image=image,
            probe=header,
            content_hash=None,
            original_bytes=image.bytes,
            sent=Sent(header.format, header.width, header.height, 0),
            body=self._encode(image.address or image.uri, image.prompt),
            predicted_image_tokens=image_tokens,
            predicted_prompt_tokens=_sum((image_tokens, self._text_tokens(image.prompt, ()))),
            by_url=True,
        )

    def _together(self, image: SourceImage, files: Sequence[bytes] | None) -> Request | Unprepared:
        """One request for all members. `files`: what was fetched; None: each is read when its turn comes."""
        pictures = []
        for number, member in enumerate(image.members):
            try:
                file = files[number] if files else self._read(member)
                pictures.append(self.made(file, self._fit, len(image.members)))
            except RunError:
                raise
            except Exception as error:
                failure = failure_of(error, member.key)
                return Unprepared(image, replace(failure, message=one_line(f"{member.key}: {failure.message}")))
        labels = labels_of(image)
        # With the labels: they are part of the question too.
        told = "\n".join(f"{label}\0{each.content_hash}" for label, each in zip(labels, pictures, strict=True))
        content_hash = hash_bytes(told.encode("utf-8", "backslashreplace"))
        return self.of_several(
            image, None, content_hash, sum(each.original_bytes for each in pictures), labels, pictures
        )

    def of_several(
        self,
        image: SourceImage,
        header: Probe | None,
        content_hash: str,
        original_bytes: int,
        labels: Sequence[str],
        pictures: Sequence[Prepared],
    ) -> Request:
        image_tokens = _sum([self._image_tokens(each.width, each.height) for each in pictures])
        text_tokens = self._text_tokens(image.prompt, labels)
        labelled = [LabelledImage(label, each.format, each.data) for label, each in zip(labels, pictures, strict=True)]
        return Request(
            image=image,
            probe=header,
            content_hash=content_hash,
            original_bytes=original_bytes,
            sent=Sent(
                _common([each.format for each in pictures]),
                _common([each.width for each in pictures]),
                _common([each.height for each in pictures]),
                sum(len(each.data) for each in pictures),
            ),
            body=self._encode(labelled, image.prompt),
            predicted_image_tokens=image_tokens,
            predicted_prompt_tokens=_sum((image_tokens, text_tokens)),
        )

    def smaller(self, image: SourceImage, sent: Sequence[LabelledImage]) -> Request:
        if self._videos and sent[0].label and not image.members:
            return self._videos.smaller(image, sent)
        pictures = [self.made(each.data, _half, len(sent)) for each in sent]
        if not sent[0].label:
            return self._request(image, pictures[0])
        return self.of_several(image, None, "", 0, [each.label for each in sent], pictures)


def _held(listed: Listed) -> tuple[SourceImage, bytes | None]:
    """The image, found where its file is now, and what of a single one is in memory."""
    image = image_of(listed)
    if not isinstance(listed, Fetched) or image.members:
        return image, None
    if listed.path:
        return replace(image, uri=uri_of(listed.path)), None
    return image, listed.files[0]


def labels_of(image: SourceImage) -> list[str]:
    """What the model is told before each of several images: its number and its file's name."""
    names = [member.key.rpartition("::")[2].rpartition("/")[2] or member.key for member in image.members]
    return [f"Image {number}: {printable(name)[:LABEL_CHARACTERS]}" for number, name in enumerate(names, start=1)]


def _half(width: int, height: int) -> tuple[int, int]:
    """The sides of half the pixels."""
    return max(1, round(width * math.sqrt(0.5))), max(1, round(height * math.sqrt(0.5)))


def _sum(counts: Iterable[int | None]) -> int | None:
    """None as soon as one is unknown."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _common(values: Sequence[T]) -> T | None:
    return values[0] if len(set(values)) == 1 else None


def _with_hint(failure: Failure, file: bytes | None) -> Failure:
    if not file or failure.reason != "unsupported_format":
        return failure
    from pipeline.videos.containers import HEAD_BYTES, container_of

    kind = container_of(file[:HEAD_BYTES])
    return (
        replace(failure, message=f"This is a video ({kind}); --video captions it by its frames.") if kind else failure
    )


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
