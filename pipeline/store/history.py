"""What earlier runs tell a later one before it begins: which images are finished, how long answers were. Reads only."""

import json
from collections import Counter
from typing import Any

import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.store.folders import open_folder
from pipeline.store.folders.folder import JOB, require
from pipeline.store.keys.finished import COLUMNS, FinishedKeys
from pipeline.store.status import iter_batches

ANSWERS = 10_000
"""More answers than this make a mean no better."""


def read_job(out: str) -> dict[str, Any]:
    """The job as the last run of OUT wrote it down. Raises UserError when there is none."""
    folder = open_folder(out)
    with folder.explained(denied=UserError):
        require(folder)
        try:
            [content] = folder.read_all([JOB])
        except FileNotFoundError:
            raise UserError(f"{folder} does not say how it was made: {JOB} is missing; run its job again.") from None
    job: dict[str, Any] = json.loads(content)
    return job


def request_counts(out: str) -> Counter[str]:
    """Rows of OUT by the hash of the request that made them; empty where there is no output yet.

    Other errors as `read_status`.
    """
    counts: Counter[str] = Counter()
    folder = open_folder(out)
    with folder.explained(denied=UserError):
        exists = folder.exists()
    if exists:
        for batch in iter_batches(out, ("request_hash",)):
            for item in pc.value_counts(batch["request_hash"]).to_pylist():
                counts[item["values"]] += item["counts"]
    return counts


def finished_keys(out: str, request_hash: str) -> FinishedKeys:
    """Which images need not be asked again; errors as `read_status`."""
    finished = FinishedKeys(request_hash)
    finished.load(iter_batches(out, COLUMNS))
    return finished


def completion_tokens(out: str, request_hash: str) -> list[int]:
    """Completion tokens of up to ANSWERS answers that the same request got; errors as `read_status`.

    Cut-off and empty answers are among them, as they are on the bill.
    """
    found: list[int] = []
    for batch in iter_batches(out, ("request_hash", "completion_tokens")):
        found += (
            batch["completion_tokens"].filter(pc.equal(batch["request_hash"], request_hash)).drop_null().to_pylist()
        )
        if len(found) >= ANSWERS:
            break
    return found[:ANSWERS]
