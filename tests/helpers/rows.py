"""What a run left behind: the rows of an output, as its readers see them."""

from os import PathLike
from typing import Any

from pipeline.store import SCHEMA, iter_batches


def rows_of(out: str | PathLike[str]) -> dict[str, dict[str, Any]]:
    """All columns of each row, by key, in the order of the keys."""
    found = (row for batch in iter_batches(str(out), SCHEMA.names) for row in batch.to_pylist())
    return {row["key"]: row for row in sorted(found, key=lambda row: str(row["key"]))}
