"""Looks at images' headers, as far as they tell what a run will make of each; those far away many at once."""

import random
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from pipeline.clock import SystemClock
from pipeline.errors import ImageError
from pipeline.estimation.video_looks import VideoLook, VideoLooker
from pipeline.images import ImageOptions, NeedMoreBytes, probe, probe_from
from pipeline.items import Probe, SourceImage
from pipeline.models import MAX_SIDE_PX
from pipeline.sources import RemoteSource, Source, close_source, has_remote

if TYPE_CHECKING:
    from pipeline.engine.live.fetching import Fetcher

T = TypeVar("T")

SizeClass = tuple[int, int, bool]
"""Width, height, and whether the file is sent byte for byte where it need not be shrunk."""
Look = tuple[SizeClass, ...] | VideoLook | str
"""What a look at headers gave: the size of an image, or of each that is asked about with it; what a video is like; or
the reason of the row that will fail."""

REMOTE_HEAD_BYTES = 32 * 1024
"""Of a file far away: holds the header of cameras' JPEGs with their thumbnails too, nearly always; half as much would
be cheaper to carry, but a second request costs more than the first."""


class HeaderReader:
    """Looks at an image as a run will."""

    def __init__(
        self,
        source: Source,
        options: ImageOptions,
        max_bytes: int,
        at_once: int = 32,
        videos: VideoLooker | None = None,
    ) -> None:
        """`at_once`: headers of remote images on their way at the same time. `videos`: where they are asked about."""
        self._videos = videos
        self._source = source
        self._read_head = source.read_head
        self._max_bytes = max_bytes
        self._max_pixels = options.max_pixels
        self._max_sent_bytes = options.max_sent_bytes or sys.maxsize
        self._pass_through = frozenset(options.pass_through)
        self._at_once = at_once

    def look_at(self, wanted: Iterable[tuple[SourceImage, T]]) -> Iterator[tuple[SourceImage, T, Look]]:
        """A look at each image, with what came with it; in any order."""
        if not has_remote(self._source):
            return ((image, context, self.look(image)) for image, context in wanted)
        # Only here: with the engine comes what a local estimate does not need, 0.5 s of imports.
        from pipeline.engine.flow.concurrently import concurrently
        from pipeline.engine.live.fetching import Fetcher
        from pipeline.engine.stop import Stop

        clock = SystemClock()
        fetcher = Fetcher(self._source, Stop(clock), clock, random.Random())

        async def look_from_far(each: tuple[SourceImage, T]) -> tuple[SourceImage, T, Look]:
            image, context = each
            if image.failure:
                return image, context, image.failure.reason
            if self._videos and (video := self._videos.look(image, is_here=not fetcher.has_to(image))):
                return image, context, video
            try:
                return image, context, tuple([await self._far_or_near(fetcher, each) for each in pictures_of(image)])
            except ImageError as error:
                return image, context, error.reason

        return concurrently(wanted, look_from_far, self._at_once, lambda: close_source(self._source))

    def look(self, image: SourceImage) -> Look:
        if image.failure:
            return image.failure.reason
        if self._videos and (video := self._videos.look(image, is_here=True)):
            return video
        try:
            return tuple(self._near(each) for each in pictures_of(image))
        except ImageError as error:
            return error.reason

    def _near(self, image: SourceImage) -> SizeClass:
        self._check_bytes(image)
        return self._judged(image, probe_from(lambda count: self._read_head(image, count)))

    async def _far_or_near(self, fetcher: "Fetcher", image: SourceImage) -> SizeClass:
        remote = fetcher.remote(image)
        if remote is None:
            return self._near(image)
        self._check_bytes(image)
        return self._judged(image, await _header(fetcher, remote, image))

    def _check_bytes(self, image: SourceImage) -> None:
        if (image.bytes or 0) > self._max_bytes:
            raise ImageError("too_large", f"The file has {image.bytes} bytes.")

    def _judged(self, image: SourceImage, header: Probe) -> SizeClass:
        width, height = header.width, header.height
        if width * height > self._max_pixels:
            raise ImageError("bomb", f"It has {width}x{height} pixels.")
        if width > MAX_SIDE_PX or height > MAX_SIDE_PX:
            raise ImageError("too_large", f"It has {width}x{height} pixels.")
        # What only pixels tell, transparency or a colour profile, is left out: it matters to the bytes sent alone.
        kept = header.format in self._pass_through and header.orientation == 1 and header.frames == 1
        return width, height, kept and (image.bytes or 0) <= self._max_sent_bytes


def pictures_of(image: SourceImage) -> tuple[SourceImage, ...]:
    """All that are asked about in its request."""
    return image.members or (image,)


async def _header(fetcher: "Fetcher", remote: RemoteSource, image: SourceImage) -> Probe:
    """By one range request; by a second, longer one only when the header was not in the first."""
    count = REMOTE_HEAD_BYTES
    while True:
        head = await fetcher.fetch_head(remote, image, count)
        try:
            return probe(head)
        except NeedMoreBytes as more:
            if len(head) < count:
                raise
            count = more.count
