import json
import re
from pathlib import Path

import pytest

from pipeline import Job, run_async
from pipeline.emulator.options import EmulatorOptions
from tests.helpers.called import called
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate

pytestmark = pytest.mark.integration


async def test_counts_reasons_tokens_cost_and_runs(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    write_jpegs(photos, 3)
    (photos / "empty.jpg").touch()
    async with emulate() as server:
        await run_async(Job.create(photos, out, model="gpt-4o", base_url=server.base_url))
    ended = called("status", out)
    assert (ended.code, ended.err) == (0, "")
    told = [" ".join(line.split()) for line in ended.out.splitlines()]
    for line in ("captioned 3", "failed 1", "truncated_file 1 e.g. empty.jpg", "gpt-4o 4"):
        assert line in told
    assert told[-2].endswith("4 rows by gpt-4o, finished, exit 1")
    assert re.fullmatch(r"requests 3 latency p50 \d+ ms and p99 \d+ ms, 0 refused \(429\)", told[-1])
    document = json.loads(called("status", out, "--json").out)
    assert document["rows"] == 4
    assert document["runs"][0]["residuals"][0]["systematic"] is False


async def test_a_run_that_was_billed_otherwise_than_predicted(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 2)
    async with emulate(EmulatorOptions(model="gpt-4o-mini")) as server:
        summary = await run_async(
            Job.create(tmp_path / "photos", tmp_path / "out", model="gpt-4o", base_url=server.base_url)
        )
    [residual] = json.loads(called("status", tmp_path / "out", "--json").out)["runs"][0]["residuals"]
    assert residual == {
        "model": "gpt-4o",
        "detail": "high",
        "images": 2,
        "mean_residual_tokens": 8245.0,
        "largest_residual_tokens": 8245,
        "systematic": True,
        "usd": "0.0412250",
    }
    assert summary.stats.prompt_tokens - summary.stats.predicted_prompt_tokens == 2 * (2833 + 5667 - 85 - 170)
    assert "billed otherwise than predicted" in called("status", tmp_path / "out").out


@pytest.mark.parametrize("command", [("status",), ("compact",), ("retry", "--reason", "timeout")])
def test_a_name_that_no_folder_can_have(command: tuple[str, ...]) -> None:
    ended = called(*command, "a" * 300)
    assert (ended.code, ended.out) == (3, "")
    assert "File name too long" in ended.err


def test_a_folder_that_is_no_output(tmp_path: Path) -> None:
    ended = called("status", tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert str(tmp_path) in ended.err
