"""`nightcap compact` and `run --prune`, as their user calls them."""

import json
from pathlib import Path

import pytest

from pipeline import Job, run_async
from tests.helpers.called import called
from tests.helpers.folders import write_jpegs
from tests.helpers.servers import emulate
from tests.store.test_prune import keys

pytestmark = pytest.mark.integration


async def test_compact_and_prune(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    paths = write_jpegs(photos, 5)
    async with emulate() as server:
        job = Job.create(photos, tmp_path / "out", model="gpt-4o", base_url=server.base_url)
        for number in range(1, 4):
            await run_async(job.overlay(limit=number))
        told = json.loads(called("compact", tmp_path / "out", "--json").out)
        assert (told["parts_before"], told["parts"]) == (3, 1)
        assert "nothing to merge, 1 parts" in called("compact", tmp_path / "out").out
        paths[0].unlink()
        summary = await run_async(job.overlay(limit=0, prune=True))
        assert (summary.stats.pruned, len(keys(tmp_path / "out"))) == (1, 4)
        for path in paths[1:]:
            path.unlink()
        summary = await run_async(job.overlay(prune=True))
        assert (summary.stats.pruned, len(keys(tmp_path / "out"))) == (0, 4), "a source without images is not there"
    assert called("compact", photos).code == 2


async def test_a_disk_that_is_not_mounted_loses_no_row(tmp_path: Path) -> None:
    for name in ("here", "disk"):
        write_jpegs(tmp_path / name, 2)
    async with emulate() as server:
        sources, out = [tmp_path / "here", tmp_path / "disk"], tmp_path / "out"
        job = Job.create(sources, out, model="gpt-4o", base_url=server.base_url, prune=True)
        await run_async(job)
        for path in (tmp_path / "disk").iterdir():
            path.unlink()
        next((tmp_path / "here").iterdir()).unlink()
        summary = await run_async(job)
        assert (summary.stats.pruned, len(keys(out))) == (1, 3)
