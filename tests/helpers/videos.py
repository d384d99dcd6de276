"""Videos made for a test: numbered scenes of plain colour, so that a frame tells by its colour when it was shown."""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.stream import VideoStream

COLOURS = ((220, 30, 30), (30, 200, 40), (40, 60, 220), (230, 220, 40), (200, 50, 200), (40, 210, 210))
"""Of the scenes, one after the other and again from the first."""
MARK = (255, 255, 255)
"""Of the upper left eighth of every frame, which tells how it is turned."""


def scene_picture(scene: int, width: int, height: int) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = COLOURS[scene % len(COLOURS)]
    pixels[: height // 4, : width // 2] = MARK
    return pixels


def make_video(
    container: str = "mp4",
    codec: str = "mpeg4",
    *,
    scenes: Sequence[float] = (2.0, 2.0),
    size: tuple[int, int] = (320, 192),
    rate: int = 10,
    gop: int = 12,
    rotation: int = 0,
    hflip: bool = False,
    aspect: Fraction | None = None,
    pauses: bool = False,
    matrix: str | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """A file with a scene of so many seconds each. `rotation`: degrees against the clock. `pauses`: from the second
    scene on only every fifth frame is there.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, container_options=options or {}) as file:
        stream = file.add_stream(codec, rate=rate)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.gop_size = gop
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip=hflip)
        number = 0
        for scene, seconds in enumerate(scenes):
            frame = av.VideoFrame.from_ndarray(scene_picture(scene, *size), format="rgb24")
            if matrix:
                frame = frame.reformat(format="yuv420p", dst_colorspace=matrix)
            for _ in range(round(seconds * rate)):
                frame.pts, frame.time_base = number, Fraction(1, rate)
                if not (pauses and scene and number % 5):
                    file.mux(stream.encode(frame))
                number += 1
        file.mux(stream.encode())
    return buffer.getvalue()


def make_sound() -> bytes:
    """An MP4 file without a picture."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return buffer.getvalue()


def nearest_scene(colour: Sequence[float]) -> int:
    """Which of COLOURS it is, after the codec had it."""
    return min(range(len(COLOURS)), key=lambda n: sum((a - b) ** 2 for a, b in zip(COLOURS[n], colour, strict=True)))
