"""Settings of the store. Light on purpose: the job file reads this without loading pyarrow."""

from dataclasses import dataclass

from pipeline.errors import UserError


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How results are laid down. Rows are safe in the journal at once; this only says when they become Parquet."""

    rows_per_part: int = 20_000
    """A part is cut when so many rows wait, and small parts are merged up to it. Cutting takes about 5 KB a row."""
    flush_seconds: float = 300.0
    """A part is cut at the latest this long after its first row, so that other readers see a run grow. Where OUT is
    in an object store, a machine that is lost costs the answers of so long at most."""
    small_parts: int = 8
    """So many parts of less than half that size are merged when a run ends; `nightcap compact` merges two."""
    replace: bool = False
    """Ask again for rows that another request made (a changed prompt or model). Without it such a run is refused."""
    prune: bool = False
    """Remove the rows of images that are gone from the source, when the listing came to its end."""
    keep_raw: bool = False
    """Keep every reply of the endpoint as it came, under `_nightcap/raw/`: compressed JSON lines."""

    def __post_init__(self) -> None:
        for name, least in (("rows_per_part", 1), ("small_parts", 2)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; give {least} or more.")
