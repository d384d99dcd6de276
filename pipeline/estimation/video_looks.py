"""Looks at videos' headers, as far as they tell what a run will make of each."""

from dataclasses import dataclass

from pipeline.errors import ImageError
from pipeline.items import SourceImage
from pipeline.sources import Reader, SourceOptions, has_video_suffix
from pipeline.videos import open_video

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class VideoLook:
    """What the header of a video says."""

    width: int
    height: int
    frames: int
    hours_long: float = 0.0
    """Its seconds, where there is an hour or more of them: times take more tokens then."""
    assumed: bool = False
    """Nobody looked."""


UNSEEN = VideoLook(1920, 1080, 1_000_000, assumed=True)
"""A video far away, of which nothing is fetched: what most are."""


class VideoLooker:
    """Looks at the headers of videos on this machine."""

    def __init__(self, source: SourceOptions, max_pixels: int) -> None:
        self._open = Reader(source).open
        self._most = source.max_video_bytes
        self._max_pixels = max_pixels

    def look(self, image: SourceImage, *, is_here: bool) -> VideoLook | str | None:
        """What it is like, or the reason of its row; None for an image."""
        if not (has_video_suffix(image.key) or has_video_suffix(image.uri)):
            return None
        if (image.bytes or 0) > self._most:
            return "too_large"
        if not is_here:
            return UNSEEN
        try:
            with self._open(image) as file, open_video(file, self._max_pixels) as video:
                header = video.probe
        except ImageError as error:
            return error.reason
        duration = header.duration or 0.0
        return VideoLook(header.width, header.height, header.frames, duration if duration >= HOUR else 0.0)
