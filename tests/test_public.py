"""The public names are what `__all__` says, load lazily, and help stays fast."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline
from pipeline.emulator.app import Running

SAMPLES = Path(__file__).parent.parent / "sample_data"


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


@pytest.mark.integration
async def test_a_run_on_a_folder_does_without_aiohttp(emulator: Running, tmp_path: Path) -> None:
    """It takes 150 to 360 ms to import."""
    code = (
        "import sys\n"
        "from pipeline.cli import call\n"
        "try:\n"
        "    call()\n"
        "finally:\n"
        "    print({'aiohttp', 'pyreqwest'} & set(sys.modules))"
    )
    arguments = ["run", SAMPLES, "-o", tmp_path / "out", "-m", "compatible:gpt-4o", "--base-url", emulator.base_url]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    shown, told = await process.communicate()
    assert process.returncode in (0, 1), told.decode()
    assert shown.decode().splitlines()[-1] == "{'pyreqwest'}"
