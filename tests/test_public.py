"""The public names are what `__all__` says, load lazily, and help stays fast."""

import subprocess
import sys

import pipeline


def test_all_public_names_exist() -> None:
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None
    assert dir(pipeline) == sorted(pipeline.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(pipeline, "caption_everything")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import pipeline.cli\n"
        "heavy = {'pyarrow', 'PIL', 'onnxruntime', 'numpy', 'aiohttp', 'pydantic', 'genai_prices', 'tqdm', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
