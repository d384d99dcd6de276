"""`keep_raw`: what the endpoint said, beside the rows that were made of it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.clock import SystemClock
from pipeline.emulator.options import EmulatorOptions
from pipeline.engine.live.run import run_live
from pipeline.errors import UserError
from pipeline.job import Job, run_async
from pipeline.store import iter_batches, read_status
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate


def replies_in(out: Path) -> list[dict[str, Any]]:
    files = sorted((out / "_nightcap" / "raw").glob("*.jsonl.gz"))
    return [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]


async def test_every_reply_is_kept_and_belongs_to_a_row(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 20)
    out = tmp_path / "out"
    faults = {"server_error": 0.2, "content_filter": 0.1, "html": 0.1}
    async with emulate(EmulatorOptions(rates=faults)) as server:
        job = Job.create(
            tmp_path / "photos", out, model="openai:gpt-4o", base_url=server.base_url, keep_raw=True, rows_per_part=7
        )
        await run_async(job)
        sent = server.stats.statuses.total()
    replies = replies_in(out)
    columns = ["key", "request_id", "caption", "attempts"]
    rows = [row for batch in iter_batches(str(out), columns) for row in batch.to_pylist()]
    assert len(replies) == sum(row["attempts"] for row in rows) == sent
    by_id = {reply["request_id"]: reply for reply in replies if reply["request_id"]}
    for row in rows:
        assert by_id[row["request_id"]]["key"] == row["key"]
        if row["caption"]:
            assert by_id[row["request_id"]]["body"]["choices"][0]["message"]["content"] == row["caption"]
    assert any(isinstance(reply["body"], str) for reply in replies), "no web page"
    assert read_status(str(out)).raw_files > 1


async def test_who_asks_nobody_has_no_replies(tmp_path: Path) -> None:
    write_jpegs(tmp_path / "photos", 1)
    job = Job.create(tmp_path / "photos", tmp_path / "out", keep_raw=True)
    with pytest.raises(UserError, match="no replies to keep"):
        await run_live(job.plan(), SystemClock(), {})
    assert not (tmp_path / "out").exists()
