"""An output in an object store: parts and summaries are its objects, the journal lies in a folder of this machine.

An object appears wholly or not at all, and two runs never use one name, so that a put may be done twice, late, or
without anybody hearing of it. What another machine finds are the parts: rows that wait in the journal are known to
this machine alone, until its next run puts them into a part.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pipeline.clock import Clock
from pipeline.errors import NightcapError, RunError, Unavailable, UserError
from pipeline.objects import HASTY, PATIENT, open_objects
from pipeline.store.folders import local
from pipeline.store.folders.bucket import Bucket, Gone
from pipeline.store.folders.folder import JOURNAL, RAW, RUNS, STATE, WriterLock, is_part
from pipeline.store.folders.lock import Lock
from pipeline.store.folders.range_file import RangeFile
from pipeline.store.folders.remote_lock import RemoteLock
from pipeline.store.folders.state import state_folder

_AT_ONCE = 16
"""Small objects that are read concurrently."""


def open_remote(url: str) -> "RemoteFolder":
    """The output that `url` names, with the environment's credentials; nothing is asked of the store yet."""
    patient, hasty = open_objects(url, patience=PATIENT), open_objects(url, patience=HASTY)
    location = patient.location
    path, merged = location.path, None
    if path.endswith(".parquet"):
        path, merged = path.removesuffix(".parquet"), path
    state = state_folder(location.kind, patient.account, location.bucket, path)
    return RemoteFolder(location.uri(path).rstrip("/"), path, Bucket(patient), Bucket(hasty), state, merged)


class RemoteFolder:
    """A prefix of a bucket, perhaps with the single object beside it that it is also merged into."""

    def __init__(
        self,
        name: str,
        prefix: str,
        patient: Bucket,
        hasty: Bucket,
        state: Path,
        merged: str | None = None,
        step: local.Step = local.no_step,
    ) -> None:
        """`patient` waits for a store that throttles or is away, `hasty` tells soon."""
        self.step = step
        self.state = state
        self.journal = state / JOURNAL
        self.merged = merged
        self.last_sequence = 0
        self.apart = True
        self.hurry = False
        self._name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self._patient, self._hasty = patient, hasty
        self._waited = False
        """In vain, so that it is not waited again."""
        self._sizes: dict[str, int] = {}
        self._lock: RemoteLock | None = None

    def __str__(self) -> str:
        return self._name

    @property
    def _bucket(self) -> Bucket:
        return self._hasty if self.hurry or self._waited else self._patient

    def exists(self) -> bool:
        return bool(self._bucket.first_keys(self._prefix + STATE)) or bool(self.part_names())

    def refuse_foreign(self) -> None:
        if self._bucket.first_keys(self._prefix + STATE):
            return
        # One page: a prefix that holds a million photos is not to be listed for this.
        names = [key.removeprefix(self._prefix) for key in self._bucket.first_keys(self._prefix.rstrip("/"))]
        if any(is_part(name) for name in names):
            return
        if self.merged and self.settled(self.merged):
            raise UserError(f"Output {self}.parquet exists and was not written by Nightcap; choose another name.")
        if any(name and not name.startswith(".") for name in names):
            raise UserError(f"Output {self} holds other objects; choose a new or an empty prefix.")

    def try_writing(self) -> None:
        local.try_writing(self._writing)
        probe = f"{self._prefix}{STATE}/probe"
        self._hasty.put(probe, b"")
        self._hasty.delete(probe)

    def create(self) -> None:
        self._writing.mkdir(mode=0o700, parents=True, exist_ok=True)
        local.sync(self.state.parent, self.step)

    def lock(self, clock: Clock, run_id: str) -> WriterLock:
        here = Lock(self.state / "lock", clock, str(self))
        try:
            self._lock = RemoteLock(self._hasty, f"{self._prefix}{STATE}/lock", clock, run_id, str(self))
        except BaseException:
            here.release()
            raise
        return _Both(here, self._lock)

    def discard_unfinished(self) -> None:
        for path in self._writing.iterdir():
            self.step("remove", path)
            path.unlink()

    def part_names(self) -> list[str]:
        sizes = self._bucket.children(self._prefix.rstrip("/"))
        self._sizes = {name: size for key, size in sizes.items() if is_part(name := key.removeprefix(self._prefix))}
        return sorted(self._sizes)

    def run_names(self) -> list[str]:
        keys = self._bucket.children(self._prefix + RUNS)
        return sorted(key.removeprefix(self._prefix) for key in keys if key.endswith(".json"))

    def raw_sizes(self) -> dict[str, int]:
        sizes = self._bucket.children(self._prefix + RAW)
        return {key.removeprefix(self._prefix): size for key, size in sorted(sizes.items())}

    def settled(self, name: str) -> bool:
        try:
            self._bucket.size(self._key(name))
        except Gone:
            return False
        return True

    def open(self, name: str) -> RangeFile:
        size = self._sizes.get(name)
        if size is None:
            size = self._bucket.size(self._key(name))
        return RangeFile(size, partial(self._bucket.ranges, self._key(name)))

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [found.data for found in pool.map(self._bucket.get, map(self._key, names))]

    def put(self, name: str, write: Callable[[Path], None]) -> None:
        if self._lock:
            self._lock.beat()  # never under a lock that another run took over
        aside = self._writing / Path(name).name
        try:
            self.step("write", aside)
            write(aside)
            self.step("put", aside)
            self._bucket.put(self._key(name), aside)
        finally:
            aside.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        if self._lock:
            self._lock.beat()
        self.step("remove", Path(name))
        self._bucket.delete(self._key(name))

    @contextmanager
    def explained(self, denied: type[NightcapError] = RunError) -> Iterator[None]:
        try:
            with local.explained(self.state, denied):
                try:
                    yield
                except Gone as error:
                    raise RunError(f"{error.filename} was deleted during the run; run again.") from None
        except Unavailable as error:
            self._waited = True
            if denied is UserError:
                raise
            kept = f"What was answered waits in {self.state}, for the next run on this machine."
            raise RunError(f"{error} {kept}") from None
        except UserError as error:
            raise denied(str(error)) from None

    @property
    def _writing(self) -> Path:
        return self.state / "writing"

    def _key(self, name: str) -> str:
        return name if name == self.merged else self._prefix + name


class _Both:
    """The lock of the journal, which this machine's kernel keeps, and that of the output."""

    def __init__(self, here: Lock, there: RemoteLock) -> None:
        self._here, self._there = here, there

    def beat(self) -> None:
        self._here.beat()
        self._there.beat()

    def release(self) -> None:
        try:
            self._there.release()
        finally:
            self._here.release()
