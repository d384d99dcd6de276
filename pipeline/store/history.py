"""What earlier runs tell a later one before it begins: which images are finished, how long answers were. Reads only."""

import pyarrow.compute as pc

from pipeline.store.finished import COLUMNS, FinishedKeys
from pipeline.store.status import iter_batches

ANSWERS = 10_000
"""More answers than this make a mean no better."""


def finished_keys(out: str, request_hash: str) -> FinishedKeys:
    """Which images need not be asked again; errors as `read_status`."""
    finished = FinishedKeys(request_hash)
    finished.load(iter_batches(out, COLUMNS))
    return finished


def completion_tokens(out: str, request_hash: str) -> list[int]:
    """Completion tokens of up to ANSWERS whole captions that the same request got; errors as `read_status`."""
    found: list[int] = []
    for batch in iter_batches(out, ("request_hash", "status", "completion_tokens")):
        same = pc.and_(pc.equal(batch["request_hash"], request_hash), pc.equal(batch["status"], "captioned"))
        found += batch["completion_tokens"].filter(same).drop_null().to_pylist()
        if len(found) >= ANSWERS:
            break
    return found[:ANSWERS]
