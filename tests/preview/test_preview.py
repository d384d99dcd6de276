"""What is printed for an image is what a run sends for it, and runs as it stands."""

import asyncio
import io
import json
import subprocess
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from pipeline import Job, run_async
from pipeline.emulator.app import Running
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.called import called
from tests.helpers.pictures import encoded, photo
from tests.helpers.servers import emulate

KEY = "sk-proj-Ab12Cd34Ef56Gh78"
PROMPT = 'What\'s $HOME, `id` and "100 %"?\n\\n é 🦊'
JSON = ("--prompt", PROMPT, "--system", "It's short.", "--temperature", "0.5")


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Larger than it is sent, in a folder whose files are printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it's a cat.jpg").write_bytes(encoded(photo(2000, 1000)))
    return tmp_path / "it's a cat.jpg"


def test_json_has_everything_but_the_image_and_the_key(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ended = called("request", picture, "-m", "gpt-4o", *JSON)
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert told["url"] == "https://api.openai.com/v1/chat/completions"
    assert told["headers"]["Authorization"] == "Bearer $OPENAI_API_KEY"
    assert told["body"]["messages"][-1]["content"][0] == {"type": "text", "text": PROMPT}
    url = told["body"]["messages"][-1]["content"][1]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,[")
    assert url.endswith(" bytes, 1536x768]")
    assert KEY not in ended.out
    assert list(picture.parent.iterdir()) == [picture], "nothing is written"


def test_a_job_file_and_its_options(picture: Path) -> None:
    (picture.parent / "job.toml").write_text(
        "[source]\npaths = ['.']\n[model]\nazure_model = 'gpt-4o'\n"
        "[[endpoint]]\nmodel = 'azure:west'\nbase_url = 'https://west.openai.azure.us'\nkey_env = 'WEST_KEY'\n"
        "[[endpoint]]\nname = 'east'\nmodel = 'azure:east'\nbase_url = 'https://east.openai.azure.us'\n"
    )
    told = json.loads(called("request", "job.toml", "--max-tokens", "77").out)
    assert told["headers"]["api-key"] == "$WEST_KEY"
    assert (told["body"]["model"], told["body"]["max_tokens"]) == ("west", 77)
    told = json.loads(called("request", "job.toml", "--endpoint", "east").out)
    assert told["url"].startswith("https://east.")
    refused = called("request", "job.toml", "--endpoint", "north")
    assert (refused.code, refused.out) == (2, "")
    assert "There is no endpoint 'north'; there are endpoint 1, east." in refused.err
    assert "the job has one" in called("request", picture, "-m", "gpt-4o", "--endpoint", "east").err


def test_what_cannot_be_sent_is_a_sentence(picture: Path) -> None:
    (picture.parent / "broken.jpg").write_bytes(b"no picture")
    for arguments, words in (
        (("broken.jpg", "-m", "gpt-4o"), "broken.jpg would not be sent"),
        ((picture,), "builtin:describe sends nothing"),
        ((picture, "-m", "gpt-4o", "--image-file", "x"), "for --as curl or --as python"),
        ((picture, "-m", "gpt-4o", "--as", "curl", "--image-file", "broken.jpg"), "is something else"),
    ):
        ended = called("request", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert words in ended.err


VISION = {"VISION_ENDPOINT": "https://v.cognitiveservices.azure.com/", "VISION_KEY": "vision-Ab12Cd34Ef56"}
HISTORIC = ("-m", "azure:d", "--azure-model", "gpt-4-vision-preview", "--api-version", "2023-12-01-preview")


def test_the_vision_key_is_named_and_never_told(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (VISION | {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    for form in ("json", "curl", "python"):
        ended = called("request", picture, *HISTORIC, "--enhance", "grounding,ocr", "--as", form)
        assert ended.code == 0, ended.err
        assert VISION["VISION_KEY"] not in ended.out + ended.err
        assert "VISION_KEY" in ended.out
    told = json.loads(called("request", picture, *HISTORIC, "--enhance", "grounding,ocr").out)
    assert told["url"].endswith("/openai/deployments/d/extensions/chat/completions?api-version=2023-12-01-preview")
    assert told["body"]["enhancements"] == {"ocr": {"enabled": True}, "grounding": {"enabled": True}}
    [source] = told["body"]["dataSources"]
    assert source["parameters"] == {"endpoint": "https://v.cognitiveservices.azure.com", "key": "$VISION_KEY"}


def test_who_looks_first_is_told(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    told = json.loads(called("request", picture, "-m", "gpt-4o", "--enhance", "ocr").out)
    assert told["before"] == "RapidOCR on this machine"
    for name, value in VISION.items():
        monkeypatch.setenv(name, value)
    told = json.loads(called("request", picture, "-m", "gpt-4o", "--enhance", "ocr,grounding").out)
    assert told["before"]["url"] == (
        "https://v.cognitiveservices.azure.com/computervision/imageanalysis:analyze"
        "?api-version=2024-02-01&features=read,objects"
    )
    assert told["before"]["headers"]["Ocp-Apim-Subscription-Key"] == "$VISION_KEY"


@pytest.mark.integration
@pytest.mark.parametrize("form", ["curl", "python"])
@pytest.mark.parametrize(
    "model", ["openai:gpt-4o", "openai:gpt-5-mini", "azure:d", "azure:dated", "azure:enhanced", "compatible:mine"]
)
async def test_as_printed_it_asks_what_a_run_asks(
    picture: Path, form: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyless = model == "compatible:mine"
    for name in () if keyless else ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    if model == "azure:enhanced":
        monkeypatch.setenv("VISION_ENDPOINT", "https://v.cognitiveservices.azure.com")
        monkeypatch.setenv("VISION_KEY", KEY)  # which the emulator wants to see too
    options = EmulatorOptions(model=None if "gpt" in model else "gpt-4o", api_key=None if keyless else KEY)
    async with emulate(options) as running:
        asked = options_of(model, running) | {"prompt": PROMPT, "system": "It's short."}
        said = {name: ",".join(value) if isinstance(value, list) else value for name, value in asked.items()}
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in said.items()]
        printed = called("request", picture, *arguments, "--as", form)
        assert printed.code == 0, printed.err
        assert KEY not in printed.out
        assert "picture" in await (in_a_shell if form == "curl" else in_python)(printed.out)
        if form == "curl":
            assert (await run_async(Job.create(picture, "out", **asked))).exit_code == 0
        [times] = running.stats.asked.values()
        assert times == (2 if form == "curl" else 1), "texts and image are the same, to the byte"


def options_of(model: str, running: Running) -> dict[str, Any]:
    if not model.startswith("azure"):
        return {"model": model, "base_url": running.base_url}
    if model == "azure:enhanced":
        enhanced = {"azure_model": "gpt-4-vision-preview", "api_version": "2024-02-15-preview", "enhance": ["ocr"]}
        return {"model": model, "base_url": running.endpoint, **enhanced}
    dated = {"api_version": "2024-10-21"} if model == "azure:dated" else {}
    return {"model": model, "azure_model": "gpt-4o", "base_url": running.endpoint, **dated}


async def in_a_shell(printed: str) -> str:
    process = await asyncio.create_subprocess_exec("sh", "-c", printed, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def in_python(printed: str) -> str:
    out = io.StringIO()
    names: dict[str, Any] = {}
    with redirect_stdout(out):
        await asyncio.to_thread(exec, printed, names)
    names["client"].close()
    return out.getvalue()


@pytest.mark.integration
async def test_a_pack_is_shown_as_it_is_sent(picture: Path, emulator: Running) -> None:
    """JSON with each image's size; the program asks the very question of the run, from a file for each image."""
    for number in range(3):
        (picture.parent / f"{number}.png").write_bytes(encoded(photo(64, 48 + number), "png"))
    names = ("0.png", "1.png", "2.png")
    arguments = (*names, "-m", "gpt-4o", "--pack", "3", "--base-url", emulator.base_url)
    told = json.loads(called("request", *arguments).out)
    assert (told["key"], told["body"]["max_tokens"]) == ("0.png, 1.png, 2.png", 900)
    assert told["body"]["response_format"] == {"type": "json_object"}
    parts = told["body"]["messages"][-1]["content"]
    assert [part["text"] for part in parts[1::2]] == ["Image 1:", "Image 2:", "Image 3:"]
    ended = await asyncio.to_thread(called, "request", *arguments, "--as", "python")
    assert [name for name in names if (picture.parent / name.replace(".png", ".sent.png")).exists()] == list(names)
    shown = json.loads(await in_python(ended.out))
    assert [entry["image"] for entry in shown["answers"]] == [1, 2, 3]
    out = picture.parent / "out"
    await run_async(
        Job.create([picture.parent / name for name in names], out, model="gpt-4o", base_url=emulator.base_url, pack=3)
    )
    assert list(emulator.stats.asked.values()) == [2], "one question, asked twice"
