"""What the store asks of a place that holds an output: the seam of this room. Knows names, nothing of rows.

`LocalFolder` is a folder on a disk, `RemoteFolder` a prefix of an object store. Names are relative to the output, with
`/`: `part-….parquet` for the readers, `_nightcap/…` for ourselves, and `merged`, the single file beside the folder.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from pipeline.clock import Clock
from pipeline.errors import NightcapError, RunError, UserError
from pipeline.store.folders.range_file import RangeFile

STATE = "_nightcap"
"""Everything of Nightcap's own. Readers skip names that begin with an underscore."""
RUNS = f"{STATE}/runs"
JOB = f"{STATE}/job.json"
RAW = f"{STATE}/raw"
CONTROL = f"{STATE}/control.toml"
JOURNAL = "journal.sqlite"


class WriterLock(Protocol):
    """Keeps other runs away from creation to `release`."""

    def beat(self) -> None:
        """Show that this run is alive. Cheap; to be called every ten seconds or so."""
        ...

    def release(self) -> None: ...


class Folder(Protocol):
    """One output. As text it is what a person calls it, without any secret."""

    last_sequence: int
    """The highest number that this process gave to a part, also to one whose writing failed: none is given twice."""
    apart: bool
    """Whether journal and parts lie apart, so that another machine may go on without the journal of this one."""
    hurry: bool
    """Whether trouble that may pass is told soon, since another try will come, instead of being waited out."""

    @property
    def journal(self) -> Path:
        """Where the journal lies: always on a local disk."""
        ...

    @property
    def merged(self) -> str | None:
        """Name of the single file that the finished run is also merged into."""
        ...

    def step(self, verb: str, path: Path) -> None:
        """Called before each change to the local disk; tests kill a run here."""
        ...

    def exists(self) -> bool:
        """Whether this is an output of Nightcap; parts alone are one too, they are the ledger."""
        ...

    def refuse_foreign(self) -> None:
        """UserError where our files would be mixed with somebody else's, or write over a file that is not ours."""
        ...

    def try_writing(self) -> None:
        """Write something and take it away again; fails as a run would."""
        ...

    def create(self) -> None: ...

    def lock(self, clock: Clock, run_id: str) -> WriterLock:
        """Become the one writer. Raises UserError when another run is."""
        ...

    def discard_unfinished(self) -> None:
        """Remove what a dead run had not finished writing. Only for the one who holds the lock."""
        ...

    def part_names(self) -> list[str]:
        """Names of the parts, oldest first."""
        ...

    def run_names(self) -> list[str]:
        """Names of the summaries of runs, oldest first."""
        ...

    def raw_sizes(self) -> dict[str, int]:
        """Bytes of the files of raw replies, by name, oldest first."""
        ...

    def settled(self, name: str) -> bool:
        """Whether it is there, and then also durable."""
        ...

    def open(self, name: str) -> Path | RangeFile:
        """What Parquet is read from. FileNotFoundError when it is gone."""
        ...

    def read_all(self, names: Sequence[str]) -> list[bytes]: ...

    def put(self, name: str, write: Callable[[Path], None]) -> None:
        """Make `name` hold what `write` writes into a file, wholly or not at all, and durably."""
        ...

    def remove(self, name: str) -> None: ...

    def explained(self, denied: type[NightcapError] = RunError) -> AbstractContextManager[None]:
        """Turn what the place refuses into one sentence: a RunError, or `denied` where permission is missing."""
        ...


def is_part(name: str) -> bool:
    return name.startswith("part-") and name.endswith(".parquet")


def require(folder: Folder) -> None:
    """UserError when there is no output yet."""
    if not folder.exists():
        raise UserError(f"{folder} is not an output of Nightcap; give the folder of an earlier run.")
