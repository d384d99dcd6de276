"""An opened video: how it looks from its header, and its pictures at given moments. Decodes no more than it must.

A moment is reached by the key frame before it and what follows, so that the time it takes depends on how many moments
are wanted and how far apart key frames are, not on how long the video is.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pipeline.errors import ImageError
from pipeline.items import Probe
from pipeline.videos.moments import Choice, by_scenes, evenly

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

Size = tuple[int, int]
Fit = Callable[[int, int], Size]

PIXELS_PER_MOMENT = 250 * 1920 * 1080
"""Decoded at most to reach one; then what was reached is taken. x264 puts a key frame every 250 frames at least."""
MOST_ERRORS = 50
"""Damaged packets, after which a video is given up."""
LOOKS = 120
"""Places whose key frame is looked at to find scenes."""
LOOKS_PER_MOMENT = 3
"""At least, for each moment that is wanted."""
LOOK_SIZE = (64, 36)
HD_LINES = 720
_UNSAID = 2
"""FFmpeg's AVCOL_SPC_UNSPECIFIED."""
_ORIENTATIONS = {(1, 1): 1, (-1, 1): 2, (-1, -1): 3, (1, -1): 4}
_TURNED_ORIENTATIONS = {(1, 1): 5, (1, -1): 6, (-1, -1): 7, (-1, 1): 8}


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video, at the size that was asked for."""

    seconds: float
    """From the beginning."""
    width: int
    height: int
    """As stored: before `orientation` turns it."""
    orientation: int
    """1 to 8, as EXIF has it."""
    rgb: bytes
    """24 bits a pixel, row by row."""


class Video:
    """One video track; of several, the one that players choose. Errors are those of `open_video`."""

    def __init__(self, container: "InputContainer", kind: str, max_pixels: int) -> None:
        self._container = container
        self._kind = kind
        self._stream = _main_stream(container)
        coded = self._stream.codec_context
        if coded.width * coded.height > max_pixels:
            message = f"{coded.width}x{coded.height} pixels are more than max_pixels = {max_pixels}."
            raise ImageError("bomb", message)
        coded.thread_count = 1  # there is a process for each core, and each thread would hold frames of its own
        self._max_pixels = max_pixels
        self._at: VideoFrame | None = None
        self._next: VideoFrame | None = None
        """The frame shown last, and the one after it: decoded already."""
        self._farthest_seek = 0
        """How far back a seek once led, in units of the stream: a nearer moment is reached sooner by going on."""
        self._frames: Iterator[VideoFrame] | None = None

    @cached_property
    def probe(self) -> Probe:
        """As a person sees it: turned, with square pixels. Decodes the first frame."""
        first = self._first
        width, height = first.width, first.height
        if (aspect := self._stream.sample_aspect_ratio) and aspect > 0:  # pixels of DV and DVDs are not square
            width = max(1, round(width * Fraction(aspect)))
        if width * height > self._max_pixels:
            raise ImageError("bomb", f"{width}x{height} pixels are more than max_pixels = {self._max_pixels}.")
        orientation = _orientation(first)
        seen = (height, width) if orientation >= 5 else (width, height)
        return Probe(self._kind, *seen, orientation, frames=self._frame_count, duration=round(self._duration, 3))

    def moments(self, count: int, choice: Choice) -> list[float]:
        """Seconds of up to `count` moments that stand for it, ascending."""
        count = min(count, self._frame_count)
        if choice == "even" or count < 2:
            return evenly(self._duration, count)
        return by_scenes(self._duration, count, self._looks(count))

    def pictures(self, moments: Iterable[float], fit: Fit) -> Iterator[Frame]:
        """What is shown at each moment, shrunk to `fit(width, height)`, both as a person sees it.

        Ascending. Fewer than moments where several show one and the same. Raises ImageError when there is none.
        """
        width, height = fit(self.probe.width, self.probe.height)
        orientation, last = self.probe.orientation, None
        stored = (height, width) if orientation >= 5 else (width, height)
        for moment in moments:
            frame = self._shown_at(self._tick(moment))
            if frame is not None and frame.pts != last:
                last = frame.pts
                yield Frame(self._seconds(frame), *stored, orientation, _pixels(frame, stored, "rgb24").tobytes())
        if last is None:
            raise ImageError("undecodable", f"No frame of the {self._kind} video can be decoded.")

    @cached_property
    def _first(self) -> "VideoFrame":
        first = self._shown_at(self._start)
        if first is None:
            raise ImageError("undecodable", f"No frame of the {self._kind} video can be decoded.")
        return first

    @property
    def _unit(self) -> Fraction:
        """Seconds of one tick."""
        return self._stream.time_base or Fraction(1, 1_000_000)

    @property
    def _start(self) -> int:
        return self._stream.start_time or 0

    def _tick(self, moment: float) -> int:
        return self._start + round(moment / self._unit)

    def _seconds(self, frame: "VideoFrame") -> float:
        return max(0.0, float(((frame.pts or 0) - self._start) * self._unit))

    @cached_property
    def _duration(self) -> float:
        """Seconds that pictures are there for. What the header says is looked at: it may lie, or say nothing."""
        ticks = self._stream.duration
        if ticks is None and self._container.duration:
            ticks = int(Fraction(self._container.duration, 1_000_000) / self._unit)
        measured = self._end(ticks or 0)
        if not measured:
            measured = self._end(0)
        return float(max(measured, 1) * self._unit)

    def _end(self, near: int) -> int:
        """Ticks from the beginning to the end of the last packet, by reading on from `near`; nothing is decoded."""
        self._seek(self._start + near)
        end = 0
        for packet in self._container.demux(self._stream):
            if packet.pts is not None:
                end = max(end, packet.pts + (packet.duration or 0) - self._start)
        self._forget()
        return end

    @cached_property
    def _frame_count(self) -> int:
        """About, where the header does not say it."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return self._stream.frames or (max(1, round(self._duration * rate)) if rate else 1_000_000)

    def _looks(self, count: int) -> list[tuple[float, "Pixels"]]:
        """Small grey pictures: key frames, evenly spread; where there are few of them, what is between as well."""
        looks: dict[float, Pixels] = {}
        seen: set[int | None] = {None}
        for moment in evenly(self._duration, LOOKS):
            tick = self._tick(moment)
            self._seek(tick)
            packet = next(self._container.demux(self._stream), None)
            key = packet.pts if packet else None
            if key not in seen:  # decoding takes a hundred times as long as looking where a seek leads to
                seen.add(key)
                self._seek(tick)
                if frame := self._decoded():
                    looks[self._seconds(frame)] = _pixels(frame, LOOK_SIZE, "gray")
        self._forget()
        if len(looks) < LOOKS_PER_MOMENT * count:
            for moment in evenly(self._duration, LOOKS_PER_MOMENT * count):
                if frame := self._shown_at(self._tick(moment)):
                    looks[self._seconds(frame)] = _pixels(frame, LOOK_SIZE, "gray")
        return sorted(looks.items(), key=itemgetter(0))

    def _shown_at(self, tick: int) -> "VideoFrame | None":
        """The frame that is on the screen at `tick`; None when nothing there can be decoded."""
        if not self._can_go_on(tick):
            before = self._at.pts if self._at else None
            self._seek(tick)
            self._at = self._next = self._decoded()
            if before is not None and self._at is not None and self._at.pts is not None and self._at.pts <= before:
                self._farthest_seek = max(self._farthest_seek, tick - self._at.pts)
        if self._at is None:
            return None
        most = max(1, PIXELS_PER_MOMENT // (self._at.width * self._at.height))
        for _ in range(most):
            if self._next is None or (self._next.pts or 0) > tick:
                break
            self._at = self._next
            self._next = self._decoded()
        return self._at

    def _can_go_on(self, tick: int) -> bool:
        at = self._at
        if at is None or at.pts is None or at.pts > tick:
            return False
        following = self._next
        return following is None or following.pts is None or tick - following.pts <= self._farthest_seek

    def _seek(self, tick: int) -> None:
        from av.error import FFmpegError

        self._forget()
        try:
            self._container.seek(max(tick, self._start), stream=self._stream)
        except FFmpegError:  # no index, or the moment lies behind its last entry
            self._container.seek(self._start, stream=self._stream)

    def _forget(self) -> None:
        self._at = self._next = None
        self._frames = None

    def _decoded(self) -> "VideoFrame | None":
        """The next frame, past packets that are damaged; None at the end."""
        from av.error import EOFError as EndOfFile
        from av.error import FFmpegError

        for _ in range(MOST_ERRORS):
            if self._frames is None:
                self._frames = self._container.decode(self._stream)
            try:
                frame = next(self._frames, None)
            except EndOfFile:
                return None
            except FFmpegError:
                self._frames = None
                continue
            if frame is None or (frame.pts is not None and not frame.is_corrupt):
                return frame
        return None


def _main_stream(container: "InputContainer") -> "VideoStream":
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    best = container.streams.best("video")
    stream = next((each for each in streams if best is not None and each.index == best.index), None)
    stream = stream or next(iter(streams), None)
    if stream is None:
        raise ImageError("unsupported_format", "The file holds sound or data alone, no moving picture.")
    if stream.codec_context is None:
        raise ImageError("unsupported_format", "No decoder for this kind of video is at hand.")
    return stream


def _orientation(frame: "VideoFrame") -> int:
    """From the display matrix: (x, y) is shown at (ax + cy, bx + dy)."""
    side_data: Any = frame.side_data  # which the package's types describe as something else
    try:
        matrix = side_data["DISPLAYMATRIX"]
    except KeyError:
        return 1
    a, b, _, c, d = ((each > 0) - (each < 0) for each in struct.unpack_from("=5i", bytes(matrix)))
    return _ORIENTATIONS.get((a, d)) or _TURNED_ORIENTATIONS.get((b, c)) or 1


def _pixels(frame: "VideoFrame", size: Size, form: str) -> "Pixels":
    import numpy as np
    from av.video.reformatter import Colorspace, Interpolation

    flags = Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    # A file that does not say by which matrix its colours were made: players take HD for BT.709, and so do we.
    matrix = Colorspace.ITU709 if frame.colorspace == _UNSAID and frame.height >= HD_LINES else None
    return np.asarray(frame.reformat(*size, form, matrix, interpolation=flags).to_ndarray(), np.uint8)
