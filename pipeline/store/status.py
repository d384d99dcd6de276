"""The reading side: what OUT holds at this moment, also while a run writes it. Never changes a file.

A row is in the journal or in a part at every moment. So the journal is read first and the parts are listed after it:
a row that moves meanwhile is seen twice, never missed, and of rows with one key only the newest counts. A part that is
gone when its turn comes was merged into another: the reader looks again.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.objects import without_secrets
from pipeline.store.folders import open_folder
from pipeline.store.folders.folder import Folder, require
from pipeline.store.journal import read_journal
from pipeline.store.keys.finished import superseded
from pipeline.store.keys.hashes import Hashes, are_in, hash_strings
from pipeline.store.parts import keys_of, read_part

_EXAMPLES = 3
_TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")
_COLUMNS = ("key", "status", "reason", "message", "mode", "model", "cost_usd", "attempts", *_TOKENS)


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Rows that ended for one reason."""

    reason: str
    rows: int
    examples: tuple[str, ...]
    """Up to three keys."""
    message: str
    """Of the first of them: what happened, in words."""


@dataclass(frozen=True, slots=True)
class Status:
    """What OUT holds: one row per key, those of a run going on included."""

    out: str
    rows: int
    statuses: Mapping[str, int]
    """Rows by status; most first, as are the following."""
    reasons: tuple[ReasonCount, ...]
    models: Mapping[str, int]
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal
    """Of the rows whose price is known."""
    reused: int
    """Rows whose content was paid for under another name."""
    unpriced: int
    """Answered rows whose price is unknown."""
    runs: tuple[Mapping[str, Any], ...]
    """Summaries of the runs that ended, oldest first."""
    raw_files: int
    """Of raw replies, in `_nightcap/raw/`; those of a run going on come with its parts."""
    raw_bytes: int

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values; money is a string, as Decimal is exact and JSON numbers are not."""
        return {**asdict(self), "cost_usd": str(self.cost_usd)}


def read_status(out: str) -> Status:
    """What OUT holds. About 0.7 s per million rows.

    Raises UserError when OUT is not a Nightcap output or may not be read, RunError when a part is damaged.
    """
    return _status(_folder(out), without_secrets(out))


def iter_batches(out: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of OUT as batches with these columns of the schema.

    Every row that was there at the call comes once, as it was then or newer; 8 bytes of each stay in memory. Errors as
    `read_status`.
    """
    return _batches(_folder(out), list(columns))


def _folder(out: str) -> Folder:
    folder = open_folder(out)
    with folder.explained(denied=UserError):
        require(folder)
    return folder


def _tables(folder: Folder, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The newest rows. FileNotFoundError only between two parts, never after a part was begun."""
    journal = read_journal(folder.journal)  # before the parts are listed
    names = folder.part_names()
    keys = [partial(keys_of, folder, name) for name in names]
    *drops, last = superseded([*keys, lambda: journal["key"]])
    for name, drop in zip(names, drops, strict=True):
        yield from read_part(folder, name, columns, drop)
    yield journal.filter(pa.array(~last)).select(columns)


def _status(folder: Folder, out: str) -> Status:
    with folder.explained(denied=UserError):
        while True:
            try:
                return _count(folder, out)
            except FileNotFoundError:
                require(folder)


def _batches(folder: Folder, columns: list[str]) -> Iterator[pa.RecordBatch]:
    given: list[Hashes] = []
    seen: Hashes | None = None
    with folder.explained(denied=UserError):
        while True:
            try:
                for table in _tables(folder, ["key", *(name for name in columns if name != "key")]):
                    keys = hash_strings(table["key"])
                    given.append(keys)
                    fresh = table if seen is None else table.filter(pa.array(~are_in(keys, seen)))
                    yield from (batch for batch in fresh.select(columns).to_batches() if len(batch))
                return
            except FileNotFoundError:
                require(folder)
                seen = np.sort(np.concatenate(given)) if given else None


def _count(folder: Folder, out: str) -> Status:
    counts: dict[str, Counter[str | None]] = {"status": Counter(), "reason": Counter(), "model": Counter()}
    examples: dict[str, list[dict[str, str]]] = defaultdict(list)
    sums: Counter[str] = Counter()
    cost = Decimal(0)
    for table in _tables(folder, _COLUMNS):
        for name, counter in counts.items():
            counter.update({item["values"]: item["counts"] for item in pc.value_counts(table[name]).to_pylist()})
        for reason in counts["reason"]:
            if reason is not None and len(examples[reason]) < _EXAMPLES:
                rows = table.select(["key", "message"]).filter(pc.equal(table["reason"], reason))
                examples[reason] += rows.slice(0, _EXAMPLES - len(examples[reason])).to_pylist()
        sums.update({name: pc.sum(table[name]).as_py() or 0 for name in _TOKENS})
        cost += pc.sum(table["cost_usd"]).as_py() or 0
        answered = pc.and_(pc.greater(table["attempts"], 0), pc.not_equal(table["status"], "failed"))
        sums["reused"] += pc.sum(pc.equal(table["mode"], "reused")).as_py() or 0
        sums["unpriced"] += pc.sum(pc.and_(answered, pc.is_null(table["cost_usd"]))).as_py() or 0
    raw = folder.raw_sizes()
    statuses, reasons, models = (_most_first(counts[name]) for name in ("status", "reason", "model"))
    return Status(
        out=without_secrets(out),
        rows=sum(statuses.values()),
        statuses=statuses,
        reasons=tuple(_reason_count(name, rows, examples[name]) for name, rows in reasons.items()),
        models=models,
        cost_usd=cost,
        reused=sums["reused"],
        unpriced=sums["unpriced"],
        raw_files=len(raw),
        raw_bytes=sum(raw.values()),
        runs=tuple(map(json.loads, folder.read_all(folder.run_names()))),
        **{name: sums[name] for name in _TOKENS},
    )


def _reason_count(name: str, rows: int, examples: Sequence[Mapping[str, str]]) -> ReasonCount:
    return ReasonCount(name, rows, tuple(example["key"] for example in examples), examples[0]["message"] or "")


def _most_first(counter: Counter[str | None]) -> dict[str, int]:
    pairs = [(name, rows) for name, rows in counter.items() if name is not None]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))
