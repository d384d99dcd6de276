"""The same pictures in every kind of collection: the same captions and content hashes, one row for each."""

import asyncio
from pathlib import Path

import pytest

from pipeline import Job, estimate, run_async
from pipeline.emulator.app import Running
from pipeline.store import iter_batches
from tests.helpers.collections import COLLECTIONS
from tests.helpers.folders import write_jpegs, write_variant

pytestmark = pytest.mark.integration

IMAGES = 60  # seen with 500 too: a minute


def pictures_in(folder: Path) -> dict[str, bytes]:
    originals = [path.read_bytes() for path in write_jpegs(folder, 10)]
    paths = [folder / f"{number:05}.jpg" for number in range(IMAGES)]
    return {
        path.name: write_variant(path, originals[number % 10], number).read_bytes() for number, path in enumerate(paths)
    }


async def captions(source: str, out: Path, emulator: Running) -> dict[str, tuple[str, str]]:
    """By picture: content hash and caption."""
    job = Job.create(source, out, model="gpt-4o", base_url=emulator.base_url, allow_private_network=True)
    summary = await run_async(job)
    assert summary.exit_code == 0
    columns = ["key", "content_hash", "caption"]
    rows = [row for batch in iter_batches(str(out), columns) for row in batch.to_pylist()]
    assert len(rows) == IMAGES
    return {row["key"][-len("00000.jpg") :]: (row["content_hash"], row["caption"]) for row in rows}


@pytest.mark.timeout(600)
async def test_every_collection_gives_the_same(
    tmp_path: Path, emulator: Running, request: pytest.FixtureRequest
) -> None:
    pictures = pictures_in(tmp_path / "pictures")
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for kind, collection in COLLECTIONS.items():
        folder = tmp_path / kind
        folder.mkdir()
        async with collection(pictures, folder, request.getfixturevalue) as source:
            found[kind] = await captions(source, tmp_path / f"{kind}-out", emulator)
            job = Job.create(source, tmp_path / "none", model="gpt-4o", allow_private_network=True)
            [row] = (await asyncio.to_thread(estimate, job)).models
            assert row.images == IMAGES, kind
    expected = found["folder"]
    assert len({content for content, _ in expected.values()}) == IMAGES
    assert len({caption for _, caption in expected.values()}) > 1
    assert {kind: each == expected for kind, each in found.items()} == dict.fromkeys(COLLECTIONS, True)
