"""The verbs of an object store that an output needs. Knows keys and bytes, nothing of parts or rows.

This is where tests put what may happen to a request: lost on its way, done but its answer lost, a listing from before.
Trouble is a NightcapError with one sentence, Unavailable where it may pass. Each call blocks its thread.
"""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, NotSupportedError, PreconditionError

from pipeline.errors import NightcapError
from pipeline.objects import Objects

WHOLE_BYTES = 64 * 1024 * 1024
"""Up to here one PUT: a multipart upload that is cut off leaves hidden pieces, which are stored and billed."""
NEAR_BYTES = 64 * 1024
"""Ranges that lie so near to each other are fetched as one."""

Version = Mapping[str, str]
"""Which content of an object is meant."""


class Gone(FileNotFoundError):
    """There is no such object, or not any more."""


class Conflict(Exception):
    """The condition of a put does not hold: somebody else was there."""


class Unconditional(Exception):
    """The store has no conditional puts."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object."""

    data: bytes
    version: Version
    modified: float
    """Seconds since the epoch, by the store's clock."""


class Bucket:
    """A bucket or container; keys are those of the whole of it."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def get(self, key: str) -> Found:
        with self._explained(key):
            result = obstore.get(self._objects.store, key)
            meta = result.meta
            return Found(bytes(result.bytes()), _version(meta), meta["last_modified"].timestamp())

    def put(self, key: str, content: bytes | Path) -> None:
        """Atomic; twice is the same as once."""
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        with self._explained(key):
            obstore.put(self._objects.store, key, content, use_multipart=size > WHOLE_BYTES)

    def put_if(self, key: str, content: bytes, version: Version | None) -> Version:
        """Put only where the object still is that `version`, or, for None, where there is none. Raises Conflict."""
        with self._explained(key):
            mode: Any = "create" if version is None else dict(version)
            return _version(obstore.put(self._objects.store, key, content, mode=mode))

    def size(self, key: str) -> int:
        with self._explained(key):
            return obstore.head(self._objects.store, key)["size"]

    def ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Bytes from begin to end of each range, fetched concurrently."""
        starts, ends = zip(*ranges, strict=True)
        with self._explained(key):
            found = obstore.get_ranges(self._objects.store, key, starts=starts, ends=ends, coalesce=NEAR_BYTES)
            return [bytes(data) for data in found]

    def children(self, prefix: str) -> dict[str, int]:
        """Size by key of the objects directly under a prefix, which is a whole path."""
        with self._explained(prefix):
            found = obstore.list_with_delimiter(self._objects.store, prefix or None)
            return {meta["path"]: meta["size"] for meta in found["objects"]}

    def first_keys(self, prefix: str) -> list[str]:
        """Some of the keys under a prefix, at any depth: what one request lists."""
        with self._explained(prefix):
            for page in obstore.list(self._objects.store, prefix or None, chunk_size=1000):
                return [meta["path"] for meta in page]
        return []

    def delete(self, key: str) -> None:
        """Gone afterwards, also where it was gone before."""
        try:
            with self._explained(key):
                obstore.delete(self._objects.store, key)
        except Gone:
            pass

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            told = self._objects.explained(error)
            if told.exit_code == 2:  # not the object is missing, but the bucket
                raise told from None
            raise Gone(errno.ENOENT, os.strerror(errno.ENOENT), self._objects.location.uri(key)) from None
        except (AlreadyExistsError, PreconditionError):
            raise Conflict(key) from None
        except NightcapError:
            raise
        except Exception as error:
            if isinstance(error, NotSupportedError | NotImplementedError) or "status code: 501" in str(error):
                raise Unconditional(key) from None
            raise self._objects.explained(error) from None


def _version(meta: Any) -> Version:
    """Without what the store does not say: obstore refuses None."""
    return {name: meta[name] for name in ("e_tag", "version") if meta[name] is not None}
