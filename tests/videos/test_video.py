"""Videos of every container: what their headers say, and which frames come of them."""

import io
from fractions import Fraction

import numpy as np
import pytest

from pipeline.items import Probe
from pipeline.videos import Frame, open_video
from pipeline.videos.moments import evenly
from tests.helpers.videos import MARK, make_video, nearest_scene

PIXELS = 10**8
KINDS = [
    ("mp4", "mp4", "mpeg4"),
    ("mp4", "mp4", "libx264"),
    ("mov", "mov", "mpeg4"),
    ("webm", "webm", "libvpx-vp9"),
    ("mkv", "matroska", "libx264"),
    ("avi", "avi", "mpeg4"),
    ("flv", "flv", "flv1"),
    ("asf", "asf", "wmv2"),
    ("3gp", "3gp", "mpeg4"),
]


def frames_of(data: bytes, count: int, size: tuple[int, int] | None = None) -> tuple[Probe, list[Frame]]:
    with open_video(io.BytesIO(data), PIXELS) as video:
        frames = list(video.pictures(video.moments(count, "even"), lambda *seen: size or seen))
        return video.probe, frames


def pixels(frame: Frame) -> "np.ndarray[tuple[int, int, int], np.dtype[np.float64]]":
    return np.frombuffer(frame.rgb, np.uint8).reshape(frame.height, frame.width, 3).astype(float)


def scenes_of(frames: list[Frame]) -> list[int]:
    return [nearest_scene(pixels(frame)[-4, -4]) for frame in frames]


@pytest.mark.parametrize(("kind", "container", "codec"), KINDS, ids=[f"{kind}-{codec}" for kind, _, codec in KINDS])
def test_each_container_and_codec(kind: str, container: str, codec: str) -> None:
    header, frames = frames_of(make_video(container, codec, scenes=(1, 1, 1, 1)), 4)
    assert (header.format, header.width, header.height, header.orientation) == (kind, 320, 192, 1)
    assert header.duration == pytest.approx(4, abs=0.2)
    assert header.frames == pytest.approx(40, abs=2)
    assert scenes_of(frames) == [0, 1, 2, 3]
    # What was on the screen then, not what came next.
    assert [frame.seconds for frame in frames] == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.11)


@pytest.mark.parametrize(
    ("rotation", "hflip", "orientation"),
    [(0, False, 1), (90, False, 8), (-90, False, 6), (180, False, 3), (0, True, 2)],
)
def test_turned_as_players_turn_it(rotation: int, hflip: bool, orientation: int) -> None:
    header, frames = frames_of(make_video("mp4", rotation=rotation, hflip=hflip), 2)
    assert header.orientation == frames[0].orientation == orientation
    assert (header.width, header.height) == ((192, 320) if orientation >= 5 else (320, 192))
    assert (frames[0].width, frames[0].height) == (320, 192)  # stored; whoever encodes it turns it
    assert pixels(frames[0])[4, 4] == pytest.approx(MARK, abs=8)


def test_pixels_that_are_not_square_are_made_so() -> None:
    header, frames = frames_of(make_video("matroska", aspect=Fraction(4, 3)), 1)
    assert (header.width, header.height) == (427, 192)
    assert (frames[0].width, frames[0].height) == (427, 192)


def test_shrunk_as_asked_for_and_in_the_right_colours() -> None:
    _, frames = frames_of(make_video("mp4", "libx264"), 2, (160, 96))
    assert [len(frame.rgb) for frame in frames] == [160 * 96 * 3] * 2
    assert pixels(frames[0])[-4, -4] == pytest.approx((220, 30, 30), abs=12)


@pytest.mark.parametrize(("lines", "matrix"), [(480, "ITU601"), (720, "ITU709")])
def test_colours_of_files_that_do_not_say_which(lines: int, matrix: str) -> None:
    data = make_video("mp4", "libx264", scenes=(0.5,), size=(16 * lines // 9 // 2 * 2, lines), matrix=matrix)
    _, [frame] = frames_of(data, 1)
    assert pixels(frame)[-4, -4] == pytest.approx((220, 30, 30), abs=6)


@pytest.mark.parametrize("gop", [5, 12, 1000])
def test_frames_do_not_depend_on_where_key_frames_are(gop: int) -> None:
    _, frames = frames_of(make_video("mp4", "libx264", scenes=(1,) * 6, gop=gop), 12)
    assert scenes_of(frames) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_a_variable_frame_rate_goes_by_time() -> None:
    _, frames = frames_of(make_video("matroska", "libx264", scenes=(2, 2), pauses=True), 8)
    # The last frames stand for half a second each; one that is shown at two moments is sent once.
    assert [frame.seconds for frame in frames] == pytest.approx([0.2, 0.6, 1.1, 1.5, 2.0, 2.5, 3.0], abs=0.11)
    assert scenes_of(frames) == [0, 0, 0, 0, 1, 1, 1]


def test_a_video_without_a_duration_as_browsers_record_it() -> None:
    data = make_video("webm", "libvpx-vp9", scenes=(1, 1), options={"live": "1"})
    header, frames = frames_of(data, 2)
    assert header.duration == pytest.approx(2, abs=0.2)
    assert scenes_of(frames) == [0, 1]


def test_a_short_video_has_no_more_frames_than_there_are() -> None:
    header, frames = frames_of(make_video("mp4", scenes=(0.3,)), 20)
    assert header.frames == 3
    assert len(frames) == 3


def test_one_frame_is_the_middle() -> None:
    _, frames = frames_of(make_video("mp4", scenes=(1, 1, 1)), 1)
    assert scenes_of(frames) == [1]


@pytest.mark.parametrize("gop", [12, 1000])
def test_scenes_get_a_frame_each_however_short_they_are(gop: int) -> None:
    data = make_video("mp4", "libx264", scenes=(0.5, 8, 0.6, 3), gop=gop)
    with open_video(io.BytesIO(data), PIXELS) as video:
        four = list(video.pictures(video.moments(4, "scenes"), lambda *seen: seen))
        five = list(video.pictures(video.moments(5, "scenes"), lambda *seen: seen))
    assert scenes_of(four) == [0, 1, 2, 3]
    assert scenes_of(five) == [0, 1, 1, 2, 3]  # the longest has two


def test_moments_far_back_can_be_asked_for_again() -> None:
    data = make_video("mp4", "libx264", scenes=(1, 1, 1), gop=1000)
    with open_video(io.BytesIO(data), PIXELS) as video:
        for _ in range(2):
            frames = list(video.pictures(evenly(3, 3), lambda *seen: seen))
            assert scenes_of(frames) == [0, 1, 2]
