"""From a video to a request of several images: its frames, each prepared like an image and told with its time."""

import io
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import BinaryIO

from pipeline.api.payload import LabelledImage
from pipeline.engine.preparing.preparer import Fit, Preparer
from pipeline.errors import ImageError
from pipeline.images import ImageOptions, NeedMoreBytes, encode_rgb, hash_file, probe
from pipeline.items import Request, SourceImage
from pipeline.sources import has_video_suffix
from pipeline.videos import Choice, container_of, label, open_video
from pipeline.videos.containers import HEAD_BYTES


@dataclass(frozen=True, slots=True)
class VideoPreparer:
    """Goes with a Preparer to another process."""

    frames: Preparer
    """By the rules for frames: their detail, the prompt for a video."""
    fit: Fit
    images: ImageOptions
    count: int
    """Frames of a video, at most."""
    choice: Choice
    detail: str
    open: Callable[[SourceImage], BinaryIO]

    def request(self, image: SourceImage, data: bytes | None) -> Request | None:
        """The question about a video; None for a file that is none. `data`: the file, if it is in memory already.

        Raises ImageError.
        """
        if data is not None:
            return self._request(image, io.BytesIO(data)) if is_video(data[:HEAD_BYTES]) else None
        if not (has_video_suffix(image.key) or has_video_suffix(image.uri)):
            return None
        with closing(self.open(image)) as file:
            head = file.read(HEAD_BYTES)
            return self._request(image, file) if not head or is_video(head) else None

    def _request(self, image: SourceImage, file: BinaryIO) -> Request:
        labels, pictures = [], []
        with open_video(file, self.images.max_pixels) as video:
            header = video.probe
            for number, frame in enumerate(video.pictures(video.moments(self.count, self.choice), self.fit), start=1):
                picture = encode_rgb(frame.rgb, (frame.width, frame.height), frame.orientation, self.images)
                labels.append(label(number, frame.seconds))
                pictures.append(self.frames.made(picture, self.fit, self.count))
        size = file.seek(0, io.SEEK_END)
        request = self.frames.of_several(image, header, hash_file(file), size, labels, pictures)
        return replace(request, detail=self.detail)

    def smaller(self, image: SourceImage, sent: Sequence[LabelledImage]) -> Request:
        """The same frames with half the pixels each."""
        return replace(self.frames.smaller(image, sent), detail=self.detail)


def is_video(head: bytes) -> bool:
    """By a file's first HEAD_BYTES, whatever its name says. HEIC and AVIF, of the same family as MP4, are images."""
    if container_of(head) is None:
        return False
    try:
        probe(head)
    except NeedMoreBytes:
        return False
    except ImageError as error:
        return error.reason == "unsupported_format"
    return False
