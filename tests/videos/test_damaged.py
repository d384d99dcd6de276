"""Files that lie, break off or are something else: each has a reason, none opens another file."""

import io
import struct

import pytest

from pipeline.errors import ImageError
from pipeline.videos import container_of, open_video
from tests.helpers.videos import make_sound, make_video

PIXELS = 10**8


def reason_of(data: bytes, max_pixels: int = PIXELS) -> str:
    with pytest.raises(ImageError) as caught, open_video(io.BytesIO(data), max_pixels) as video:
        list(video.pictures(video.moments(5, "even"), lambda *seen: seen))
    assert str(caught.value).endswith(".")
    return caught.value.reason


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_video("mp4", "libx264")


@pytest.mark.parametrize("kind", ["mp4", "mov", "webm", "matroska", "avi"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_one_that_is_cut_off(kind: str, part: float) -> None:
    data = make_video(kind, "libvpx-vp9" if kind == "webm" else "mpeg4")
    assert reason_of(data[: int(len(data) * part)]) == "truncated_file"


def test_one_in_fragments_that_is_cut_off() -> None:
    data = make_video("mp4", options={"movflags": "frag_keyframe+empty_moov"})
    assert data.index(b"moov") < data.index(b"mdat")
    assert reason_of(data[:-100]) == "truncated_file"


def test_an_empty_file() -> None:
    assert reason_of(b"") == "truncated_file"


def test_sound_alone() -> None:
    assert reason_of(make_sound()) == "unsupported_format"


def test_too_many_pixels() -> None:
    assert reason_of(make_video("mp4"), max_pixels=1000) == "bomb"


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD></MPD>",
        b"\xff\xd8\xff\xe0 a picture",
        b"plain text",
    ],
)
def test_what_is_no_video_is_not_given_to_the_demuxers(data: bytes) -> None:
    assert container_of(data) is None
    assert reason_of(data) == "unsupported_format"


def test_a_duration_that_lies_costs_no_frame(clip: bytes) -> None:
    """Four seconds that say they are eleven hours: what is there is spread over, and told with its time."""
    at = clip.index(b"mvhd") + 4 + 12
    lie = clip[:at] + struct.pack(">II", 1000, 40_000_000) + clip[at + 8 :]
    for box in (b"tkhd", b"mdhd"):
        start = lie.index(box) + 4 + (20 if box == b"tkhd" else 16)
        lie = lie[:start] + struct.pack(">I", 2_000_000_000) + lie[start + 4 :]
    with open_video(io.BytesIO(lie), PIXELS) as video:
        frames = list(video.pictures(video.moments(4, "even"), lambda *seen: seen))
        assert video.probe.duration == pytest.approx(4, abs=0.2)
    assert [frame.seconds for frame in frames] == pytest.approx([0.5, 1.5, 2.5, 3.5], abs=0.11)


def test_damage_in_the_middle_costs_what_it_hits(clip: bytes) -> None:
    begin = clip.index(b"mdat") + 4
    spoiled = bytearray(clip)
    for place in range(begin + 2000, begin + 2400):
        spoiled[place] ^= 0x5A
    with open_video(io.BytesIO(bytes(spoiled)), PIXELS) as video:
        frames = list(video.pictures(video.moments(4, "even"), lambda *seen: seen))
    assert frames


@pytest.mark.parametrize("seed", range(12))
def test_noise_in_the_structure_ends_in_a_reason_or_in_frames(clip: bytes, seed: int) -> None:
    spoiled = bytearray(clip)
    index = clip.index(b"moov")
    for step in range(6):
        place = index + (seed * 7919 + step * 104_729) % (len(clip) - index)
        spoiled[place] = (spoiled[place] + 1 + seed * 31 + step) % 256
    reason = None
    try:
        with open_video(io.BytesIO(bytes(spoiled)), PIXELS) as video:
            list(video.pictures(video.moments(4, "even"), lambda *seen: (32, 32)))
    except ImageError as error:
        reason = error.reason
    assert reason in (None, "undecodable", "truncated_file", "unsupported_format", "bomb")
