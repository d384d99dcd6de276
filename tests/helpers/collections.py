"""The same pictures as collections of every kind: what a user would write on the command line for each."""

import asyncio
import io
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.objects import open_objects
from tests.helpers.object_stores import ObjectServer
from tests.helpers.web_server import serve

Pictures = Mapping[str, bytes]
Server = Callable[[str], ObjectServer]
"""Gives the running `s3` or `azure`, with its credentials in the environment."""
SHARDS = 5
PATTERN = f"shard-{{000..{SHARDS - 1:03}}}.tar"


def tar_of(files: Pictures, mode: Any = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(files: Pictures, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def shards_of(files: Pictures) -> dict[str, bytes]:
    """Tars by name, as PATTERN counts them."""
    names = list(files)
    return {
        f"shard-{number:03}.tar": tar_of({name: files[name] for name in names[number::SHARDS]})
        for number in range(SHARDS)
    }


def write(folder: Path, files: Pictures) -> None:
    for name, data in files.items():
        (folder / name).write_bytes(data)


async def upload(url: str, files: Pictures) -> None:
    def put() -> None:
        store = open_objects(url).store
        for name, data in files.items():
            obstore.put(store, name, data)

    await asyncio.to_thread(put)


@asynccontextmanager
async def as_folder(pictures: Pictures, folder: Path, server: Server) -> AsyncIterator[str]:
    write(folder, pictures)
    yield str(folder)


@asynccontextmanager
async def as_s3(pictures: Pictures, folder: Path, server: Server) -> AsyncIterator[str]:
    url = server("s3").create("any-pictures")
    await upload(url, {f"in/{name}": data for name, data in pictures.items()})
    yield f"{url}/in"


@asynccontextmanager
async def as_azure(pictures: Pictures, folder: Path, server: Server) -> AsyncIterator[str]:
    url = server("azure").create("any-pictures")
    await upload(url, {f"in/{name}": data for name, data in pictures.items()})
    yield f"{url}/in"


@asynccontextmanager
async def as_shards(pictures: Pictures, folder: Path, server: Server) -> AsyncIterator[str]:
    write(folder, shards_of(pictures))
    yield f"{folder}/{PATTERN}"


@asynccontextmanager
async def as_zip(pictures: Pictures, folder: Path, server: Server) -> AsyncIterator[str]:
    write(folder, {"all.zip": zip_of(pictures)})
    yield f"{folder}/all.zip"


@asynccontextmanager
async def as_parquet(pictures: Pictures, folder: Path, server: Server) -> AsyncIterator[str]:
    rows = [{"bytes": data, "path": name} for name, data in pictures.items()]
    pq.write_table(pa.table({"image": rows}), folder / "all.parquet", row_group_size=100)
    yield f"{folder}/all.parquet"


@asynccontextmanager
async def as_csv_of_urls(pictures: Pictures, folder: Path, server: Server) -> AsyncIterator[str]:
    async with serve(pictures) as web:
        (folder / "list.csv").write_text("url\n" + "".join(f"{web.url}{name}?sig=x\n" for name in pictures))
        yield f"{folder}/list.csv"


Collection = Callable[[Pictures, Path, Server], AbstractAsyncContextManager[str]]
COLLECTIONS: Mapping[str, Collection] = {
    "folder": as_folder,
    "s3": as_s3,
    "azure": as_azure,
    "shards": as_shards,
    "zip": as_zip,
    "parquet": as_parquet,
    "csv of urls": as_csv_of_urls,
}
