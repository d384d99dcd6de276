import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli import nightcap

WITHOUT_AV = "import sys; sys.modules['av'] = None; from pipeline.cli import main; main()"


@pytest.mark.parametrize("command", ["run", "estimate", "request"])
def test_without_the_extra_one_sentence_names_it(command: str, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"any")
    arguments = [command, "clip.mp4", "-m", "gpt-4o", *(["-o", "out"] if command == "run" else [])]
    process = [sys.executable, "-c", WITHOUT_AV, *arguments]
    ended = subprocess.run(process, cwd=tmp_path, capture_output=True, text=True, env={"OPENAI_API_KEY": "k"})
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "nightcap[video]" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_images_need_it_not(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_AV, "estimate", "sample_data", "-m", "gpt-4o"],
        capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


def test_the_help_tells_of_it() -> None:
    for command in ("run", "estimate", "request"):
        names = {option for parameter in nightcap.commands[command].params for option in parameter.opts}
        assert {"--video", "--frames", "--frames-at"} <= names
