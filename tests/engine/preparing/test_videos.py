"""From a video to a request: what the worker makes of one."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.api.options import DEFAULT_VIDEO_PROMPT, ModelOptions
from pipeline.api.payload import Form, images_of, tail_template
from pipeline.engine.preparing.carried import image_itself
from pipeline.engine.preparing.preparer import Fetched, Preparer, TooLarge
from pipeline.engine.preparing.rules import build_preparer, json_tail
from pipeline.images import ImageOptions, hash_bytes
from pipeline.items import Request, SourceImage, Unprepared
from pipeline.models import Limit, RequestLimits, find_model
from pipeline.sources import SourceOptions
from tests.helpers.pictures import encoded
from tests.helpers.videos import MARK, make_sound, make_video, nearest_scene

NO_LIMITS = RequestLimits()


def preparer(limits: RequestLimits = NO_LIMITS, video: bool = True, **options: Any) -> Preparer:
    model = ModelOptions(**{"name": "openai:gpt-4o", **options})
    encode = image_itself if model.name.startswith("builtin") else json_tail(tail_template(model))
    source, known = SourceOptions(video=video), find_model(model.name)
    return build_preparer(source, ImageOptions(), model, known, Form("m"), limits, encode)


def listed(path: Path, data: bytes) -> SourceImage:
    path.write_bytes(data)
    return SourceImage(path.name, path.as_uri(), "1", len(data))


def asked(prepare: Preparer, image: SourceImage) -> Request:
    [request] = prepare([image])
    assert isinstance(request, Request), request
    return request


def failure(prepare: Preparer, image: SourceImage | Fetched) -> tuple[str, str]:
    [result] = prepare([image])
    assert isinstance(result, Unprepared)
    return result.failure.reason, result.failure.message


def content(request: Request) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = json.loads(b'[{"type":"text","text":' + request.body.removesuffix(b"}]}"))
    return parts


def test_a_video_becomes_one_request_of_its_frames(tmp_path: Path) -> None:
    data = make_video("mp4", "libx264", scenes=(1, 1, 1, 1), size=(1280, 720))
    request = asked(preparer(frames=4), listed(tmp_path / "clip.mp4", data))
    text, *parts = content(request)
    assert text["text"] == DEFAULT_VIDEO_PROMPT
    assert [part["text"] for part in parts[::2]] == [
        f"Frame {n} at 00:0{s}" for n, s in enumerate(("0.500", "1.500", "2.500", "3.500"), start=1)
    ]
    assert {part["image_url"]["detail"] for part in parts[1::2]} == {"low"}
    pictures = [Image.open(io.BytesIO(each.data)) for each in images_of(request.body)]
    assert {(picture.format, picture.size) for picture in pictures} == {("JPEG", (512, 288))}
    assert [nearest_scene(picture.getpixel((500, 280))) for picture in pictures] == [0, 1, 2, 3]  # type: ignore[arg-type]
    assert request.predicted_image_tokens == 4 * 85
    assert request.content_hash == hash_bytes(data)
    assert (request.original_bytes, request.detail) == (len(data), "low")
    assert (request.sent.width, request.sent.format) == (512, "jpeg")
    assert request.probe is not None
    assert (request.probe.width, request.probe.height, request.probe.duration) == (1280, 720, 4)


def test_one_that_was_held_upright_is_sent_upright(tmp_path: Path) -> None:
    """A telephone's: stored lying, shown turned by a quarter with the clock."""
    request = asked(preparer(frames=1), listed(tmp_path / "clip.mov", make_video("mov", rotation=-90, size=(640, 384))))
    picture = Image.open(io.BytesIO(images_of(request.body)[0].data))
    assert picture.size == (307, 512)
    assert picture.getpixel((300, 8)) == pytest.approx(MARK, abs=8)  # what was above on the left is on the right


def test_the_detail_that_was_asked_for_holds_for_frames_too(tmp_path: Path) -> None:
    clip = listed(tmp_path / "clip.mp4", make_video("mp4", size=(1280, 720)))
    request = asked(preparer(frames=2, detail="high", prompt="What moves?"), clip)
    text, *parts = content(request)
    assert text["text"] == "What moves?"
    assert parts[1]["image_url"]["detail"] == "high"
    assert request.predicted_image_tokens == 2 * find_model("gpt-4o").image_tokens(1280, 720, "high")  # type: ignore[operator]


def test_no_more_frames_than_the_provider_takes_images(tmp_path: Path) -> None:
    clip = listed(tmp_path / "clip.mp4", make_video("mp4"))
    request = asked(preparer(RequestLimits(images=Limit(3, "its guide"))), clip)
    assert len(images_of(request.body)) == 3


def test_the_describer_is_given_the_middle(tmp_path: Path) -> None:
    clip = listed(tmp_path / "clip.mp4", make_video("mp4", scenes=(1, 1, 1)))
    request = asked(preparer(RequestLimits(images=Limit(1, "it looks at one")), name="builtin:describe"), clip)
    assert nearest_scene(Image.open(io.BytesIO(request.body)).getpixel((300, 180))) == 1  # type: ignore[arg-type]


def test_bytes_say_what_a_file_is(tmp_path: Path) -> None:
    video, picture = make_video("mp4"), encoded(Image.new("RGB", (64, 64)), "jpeg")
    prepare = preparer(frames=2)
    assert len(images_of(asked(prepare, listed(tmp_path / "really.jpg", video)).body)) == 2
    assert len(images_of(asked(prepare, listed(tmp_path / "really.mp4", picture)).body)) == 1
    [fetched] = prepare([Fetched(SourceImage("fetched", "https://h/fetched", ""), (video,))])
    assert isinstance(fetched, Request)
    assert fetched.predicted_image_tokens == 2 * 85


def test_images_in_between_are_asked_as_ever(tmp_path: Path) -> None:
    picture = listed(tmp_path / "a.jpg", encoded(Image.new("RGB", (600, 600)), "jpeg"))
    assert asked(preparer(), picture) == asked(preparer(video=False), picture)


def test_where_nobody_wants_videos_the_row_says_how(tmp_path: Path) -> None:
    clip = listed(tmp_path / "clip.mp4", make_video("mp4"))
    reason, message = failure(preparer(video=False), clip)
    assert reason == "unsupported_format"
    assert "--video" in message


def test_what_is_wrong_with_one_is_its_row(tmp_path: Path) -> None:
    data = make_video("mp4")
    prepare = preparer()
    assert failure(prepare, listed(tmp_path / "cut.mp4", data[:-50]))[0] == "truncated_file"
    assert failure(prepare, listed(tmp_path / "empty.mp4", b""))[0] == "truncated_file"
    assert failure(prepare, listed(tmp_path / "sound.mp4", make_sound()))[0] == "unsupported_format"
    assert failure(prepare, SourceImage("gone.mp4", (tmp_path / "gone.mp4").as_uri(), "1"))[0] == "unreadable"


def test_frames_that_were_too_large_are_made_smaller(tmp_path: Path) -> None:
    prepare = preparer(frames=3, detail="high")
    clip = listed(tmp_path / "clip.mp4", make_video("mp4", size=(640, 384)))
    first = asked(prepare, clip)
    [smaller] = prepare([TooLarge(clip, tuple(images_of(first.body)))])
    assert isinstance(smaller, Request)
    assert [part.label for part in images_of(smaller.body)] == [part.label for part in images_of(first.body)]
    assert (smaller.sent.width, smaller.detail) == (453, "high")
    assert content(smaller)[0]["text"] == DEFAULT_VIDEO_PROMPT
