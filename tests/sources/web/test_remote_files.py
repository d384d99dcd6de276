"""Lists and archives on a web server: listed there, read in parts."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ImageError, RunError, UserError
from pipeline.items import SourceImage
from pipeline.sources import Source, SourceOptions, close_source, open_source, remote_source
from tests.helpers.collections import tar_of, zip_of
from tests.helpers.web_server import WebServer, serve

PICTURES = {f"{number}.jpg": b"picture %d " % number * 20_000 for number in range(5)}


def parquet_of(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    files = {
        "p/x.tar": tar_of(PICTURES),
        "p/x.zip": zip_of(PICTURES, zipfile.ZIP_STORED),
        "p/y.zip": zip_of(PICTURES, zipfile.ZIP_DEFLATED),
        "p/x.tgz": tar_of(PICTURES, "w:gz"),
        "p/l.csv": b"path,n\n" + b"".join(b"%s,%d\n" % (name.encode(), n) for n, name in enumerate(PICTURES)),
        "p/l.parquet": parquet_of(pa.table({"path": list(PICTURES), "n": ["x"] * 5})),
        "p/i.parquet": parquet_of(pa.table({"image": [{"bytes": b"x", "path": "a.jpg"}]})),
        **{f"p/{name}": data for name, data in PICTURES.items()},
    }
    async with serve(files) as running:
        yield running


async def opened(url: str, private: bool = True) -> tuple[Source, list[SourceImage]]:
    def work() -> tuple[Source, list[SourceImage]]:
        source = open_source(SourceOptions((url,), allow_private_network=private))
        return source, list(source.list())

    return await asyncio.to_thread(work)


@pytest.mark.parametrize("name", ["x.tar", "x.zip", "y.zip", "l.csv", "l.parquet"])
async def test_images_of_a_file_far_away(server: WebServer, name: str) -> None:
    source, images = await opened(f"{server.url}p/{name}?sig=SECRET")
    expected = [f"{name}::{key}" if name[2:] in ("tar", "zip") else key for key in PICTURES]
    keys = [image.key.removeprefix(f"{server.url[7:]}p/") for image in images]
    assert keys == expected
    listing_bytes = server.sent_bytes
    try:
        for image, data in zip(images, PICTURES.values(), strict=True):
            remote = remote_source(source, image)
            assert remote is not None
            assert "SECRET" not in repr(image)
            assert await remote.fetch_head(image, 20) == data[:20]
            assert await remote.fetch(image) == data
    finally:
        await close_source(source)
    if name == "x.tar":
        assert listing_bytes < 400_000, "of a megabyte: headers, with what comes along"
    if name == "x.zip":
        assert listing_bytes < 130_000


async def test_files_that_can_only_be_read_from_their_start(server: WebServer) -> None:
    with pytest.raises(UserError, match="copy it here"):
        await opened(f"{server.url}p/x.tgz")
    with pytest.raises(UserError, match="copy it"):
        await opened(f"{server.url}p/i.parquet")


async def test_what_the_user_names_in_a_private_network_needs_permission_too(server: WebServer) -> None:
    with pytest.raises(UserError, match="--allow-private-network"):
        await opened(f"{server.url}p/x.tar?sig=SECRET", private=False)
    assert server.requests == []


async def test_a_list_that_breaks_off_is_not_taken_for_the_whole(server: WebServer) -> None:
    with pytest.raises(RunError, match="990 bytes before its end"):
        await opened(f"{server.url}short.txt")


async def test_a_list_that_is_not_there(server: WebServer) -> None:
    with pytest.raises(UserError, match="answers 404") as failure:
        await opened(f"{server.url}p/none.csv?sig=SECRET")
    assert "SECRET" not in str(failure.value)


async def test_a_part_that_is_refused_is_the_images_trouble(server: WebServer) -> None:
    source, images = await opened(f"{server.url}p/x.tar")
    server.files = {}
    remote = remote_source(source, images[0])
    assert remote is not None
    with pytest.raises(ImageError) as failure:
        await remote.fetch(images[0])
    await close_source(source)
    assert failure.value.reason == "unreadable"
