"""An object store in memory whose requests meet what requests may meet, and processes that die of one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import obstore
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import Unavailable, UserError
from pipeline.objects import open_objects
from pipeline.store.dataset import Store
from pipeline.store.folders.bucket import Bucket, Conflict, Found
from pipeline.store.folders.remote import RemoteFolder
from pipeline.store.options import StoreOptions
from tests.store.rows import REQUEST, Killed, SetClock

Fault = Literal["lost", "answer lost", "killed before", "killed after", "conflict after"]
FAULTS: tuple[Fault, ...] = ("lost", "answer lost", "killed before", "killed after", "conflict after")
WRITES = ("put", "put_if", "delete")
T = TypeVar("T")


class FaultyBucket(Bucket):
    """One process's way to the store. `faults` says what happens to the request with that number."""

    def __init__(self, name: str, clock: SetClock, faults: dict[int, Fault] | None = None) -> None:
        super().__init__(open_objects(f"memory://{name}"))
        self.name = name
        self.clock = clock
        self.faults = faults or {}
        self.requests: list[tuple[str, str]] = []
        self.away = False
        self._dead = False

    def _call(self, verb: str, key: str, do: Callable[[], T]) -> T:
        if self._dead:
            raise Killed
        self.requests.append((verb, key))
        fault = self.faults.get(len(self.requests))
        if fault == "killed before":
            self._dead = True
            raise Killed
        if self.away or fault == "lost":
            raise Unavailable("memory:// cannot be reached.")
        result = do()
        if fault == "killed after":
            self._dead = True
            raise Killed
        if fault == "answer lost":
            raise Unavailable("memory:// cannot be reached.")
        if fault == "conflict after" and verb == "put_if":  # done, its answer lost, and tried again inside
            raise Conflict(key)
        return result

    def get(self, key: str) -> Found:
        found = self._call("get", key, lambda: Bucket.get(self, key))
        return Found(found.data, found.version, _TIMES[self.name, key])

    def put(self, key: str, content: bytes | Path) -> None:
        self._call("put", key, lambda: self._stamp(key, Bucket.put(self, key, content)))

    def put_if(self, key: str, content: bytes, version: Any) -> Any:
        return self._call("put_if", key, lambda: self._stamp(key, Bucket.put_if(self, key, content, version)))

    def _stamp(self, key: str, result: T) -> T:
        _TIMES[self.name, key] = self.clock.time()
        return result

    def size(self, key: str) -> int:
        return self._call("size", key, lambda: Bucket.size(self, key))

    def ranges(self, key: str, ranges: Any) -> list[bytes]:
        return self._call("ranges", key, lambda: Bucket.ranges(self, key, ranges))

    def children(self, prefix: str) -> dict[str, int]:
        return self._call("list", prefix, lambda: Bucket.children(self, prefix))

    def first_keys(self, prefix: str) -> list[str]:
        return self._call("list", prefix, lambda: Bucket.first_keys(self, prefix))

    def delete(self, key: str) -> None:
        self._call("delete", key, lambda: Bucket.delete(self, key))


_TIMES: dict[tuple[int, str], float] = {}
"""When an object was written, by the tests' clock."""


def remote_folder(bucket: Bucket, state: Path) -> RemoteFolder:
    return RemoteFolder("memory://out", "out", bucket, bucket, state)


def remote_store(bucket: Bucket, state: Path, clock: SetClock, run_id: str, **options: Any) -> Store:
    folder = remote_folder(bucket, state)
    with folder.explained(denied=UserError):
        folder.refuse_foreign()
        return Store(folder, StoreOptions(**options), clock, run_id, REQUEST)


def abandon(dead: Store) -> None:
    """What the kernel does for a process that died."""
    dead._journal._connection.close()
    os.close(dead._lock._here._file)  # type: ignore[attr-defined]


def parts_of(name: str) -> list[pa.Table]:
    """The parts as foreign readers see them, oldest first."""
    store = open_objects(f"memory://{name}").store
    listed = obstore.list_with_delimiter(store, "out")["objects"]
    keys = sorted(meta["path"] for meta in listed if meta["path"].endswith(".parquet"))
    return [pq.read_table(pa.BufferReader(obstore.get(store, key).bytes())) for key in keys]


def rows_of(name: str) -> list[tuple[str, str]]:
    """(key, version) of all rows in parts."""
    return sorted(
        (item["key"], item["source_version"])
        for table in parts_of(name)
        for item in table.select(["key", "source_version"]).to_pylist()
    )
