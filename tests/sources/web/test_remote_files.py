"""Lists and archives on a web server: listed there, read in parts."""

import asyncio
import gzip
import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ImageError, RunError, UserError
from pipeline.items import SourceImage
from pipeline.objects import open_objects
from pipeline.sources import Source, SourceOptions, close_source, open_source, remote_source
from pipeline.sources.storage import resuming
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


async def test_a_list_that_breaks_off_for_good_is_not_taken_for_the_whole(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "WAITS_SECONDS", (0, 0, 0))
    with pytest.raises(RunError, match=r"after 10 bytes and could not be read on: .* 990 bytes before its end"):
        await opened(f"{server.url}short.txt?sig=SECRET")
    assert server.times["/short.txt?sig=SECRET"] == 1 + 4, "looked at, read, three more tries"


LINES = 5000


@pytest.mark.parametrize("has_ranges", [True, False], ids=["in parts", "whole files only"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_a_list_that_breaks_off_is_read_on_and_no_row_is_lost(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, has_ranges: bool, packed: bool
) -> None:
    monkeypatch.setattr(resuming, "WAITS_SECONDS", (0, 0, 0, 0))
    text = "".join(f"{number:06}.jpg\n" for number in range(LINES)).encode()
    content = gzip.compress(text) if packed else text
    name = "p/long.txt" + ".gz" * packed
    server.files = {name: content}
    server.has_ranges = has_ranges
    reading = asyncio.ensure_future(opened(f"{server.url}{name}"))
    server.most_bytes = len(content) // 3 + 1
    while has_ranges is False and server.times[f"/{name}"] < 3:
        await asyncio.sleep(0)  # each try of such a server's comes to the same place: until it is well again
    if not has_ranges:
        server.most_bytes = None
    _, images = await reading
    assert [image.uri[-10:-4] for image in images] == [f"{number:06}" for number in range(LINES)]


@pytest.mark.parametrize("name", ["x.tar", "x.zip", "l.parquet"])
async def test_what_is_read_in_parts_is_read_on_too(
    server: WebServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(resuming, "WAITS_SECONDS", (0, 0))
    server.most_bytes = 40_000 if name != "l.parquet" else 500
    _, images = await opened(f"{server.url}p/{name}")
    assert len(images) == len(PICTURES)
    assert not any(image.failure for image in images)


async def test_a_list_that_changes_while_it_is_read_is_no_list(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "WAITS_SECONDS", (0, 0, 0, 0))
    text = "".join(f"{number:06}.jpg\n" for number in range(LINES)).encode()
    server.files = {"p/long.txt": text}
    server.most_bytes = 20_000
    reading = asyncio.ensure_future(opened(f"{server.url}p/long.txt"))
    while len(server.requests) < 2:
        await asyncio.sleep(0)
    server.files = {"p/long.txt": text + b"more.jpg\n"}
    with pytest.raises(RunError, match="changed while it was read"):
        await reading


@pytest.mark.parametrize("kind", ["web", "bucket"])
async def test_a_list_from_elsewhere_names_no_file_of_this_machine(
    server: WebServer, kind: str, tmp_path: Path
) -> None:
    for name in ("secret.jpg", "other.jpg"):
        (tmp_path / name).write_bytes(b"secret")
    text = f"path,id\nfile://{tmp_path}/secret.jpg,1\nFILE:///etc/hosts,2\n{tmp_path}/other.jpg,3\n".encode()
    url = f"{server.url}p/l.csv"
    if kind == "bucket":
        url = "memory://names-local-files/p/l.csv"
        obstore.put(open_objects(url).store, "p/l.csv", text)
    server.files = {"p/l.csv": text}
    source, images = await opened(url)
    assert [image.failure and image.failure.reason for image in images] == ["private_address"] * 2 + [None]
    assert images[0].failure
    assert images[0].failure.message.startswith("Line 2 of l.csv names a file of this machine")
    assert images[0].uri == f"{url}", "where it is said, not what is there"
    assert not images[2].uri.startswith("file://"), "of the server's or the bucket's root"
    await close_source(source)
    (tmp_path / "l.csv").write_bytes(text)
    _, images = await opened(str(tmp_path / "l.csv"))
    assert not any(image.failure for image in images)


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
