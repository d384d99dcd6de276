"""Lists and archives in an object store: listed there, members read by range."""

import asyncio
import zipfile

import obstore
import pytest

from pipeline.errors import UserError
from pipeline.objects import open_objects
from pipeline.sources import SourceOptions, open_source, remote_source
from tests.helpers.collections import PATTERN, shards_of, tar_of, zip_of

PICTURES = {f"{number}.jpg": b"picture %d " % number * 20_000 for number in range(10)}


@pytest.fixture(scope="module")
def bucket() -> str:
    store = open_objects("memory://files-in-buckets").store
    files = {
        **{f"shards/{name}": data for name, data in shards_of(PICTURES).items()},
        **{f"in/{name}": data for name, data in PICTURES.items()},
        "all.tar": tar_of(PICTURES),
        "all.tgz": tar_of(PICTURES, "w:gz"),
        "stored.zip": zip_of(PICTURES, zipfile.ZIP_STORED),
        "packed.zip": zip_of(PICTURES),
        "list.txt": "".join(f"in/{name}\n" for name in PICTURES).encode(),
        "list.csv": "".join(["uri\n", *(f"memory://files-in-buckets/in/{name}\n" for name in PICTURES)]).encode(),
    }
    for name, data in files.items():
        obstore.put(store, name, data)
    return "memory://files-in-buckets"


@pytest.mark.parametrize("name", ["all.tar", "stored.zip", "packed.zip", "list.txt", "list.csv", f"shards/{PATTERN}"])
async def test_images_of_a_file_in_a_bucket(bucket: str, name: str) -> None:
    source = open_source(SourceOptions((f"{bucket}/{name}",)))
    images = await asyncio.to_thread(lambda: list(source.list()))
    assert len(images) == len(PICTURES)
    for image in images:
        data = PICTURES[image.key[-len("0.jpg") :]]
        remote = remote_source(source, image)
        assert remote is not None
        assert await remote.fetch(image) == data
        assert await remote.fetch_head(image, 30) == data[:30]


def test_what_is_not_there_is_named(bucket: str) -> None:
    with pytest.raises(UserError, match=r"files-in-buckets/none\.csv"):
        open_source(SourceOptions((f"{bucket}/none.csv",)))


def test_a_gzipped_tar_must_be_here(bucket: str) -> None:
    with pytest.raises(UserError, match="copy it here"):
        list(open_source(SourceOptions((f"{bucket}/all.tgz",))).list())
