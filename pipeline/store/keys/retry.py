"""The rows of an output that ended for given reasons, so that their images are asked again. Reads only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.items import SourceImage
from pipeline.store.keys.hashes import Hashes, hash_strings, hash_text
from pipeline.store.status import iter_batches

_COLUMNS = ("key", "reason", "caption", "status", "mode", "cost_usd")


@dataclass(frozen=True, slots=True)
class RowsToRetry:
    """Rows to be asked again: 8 bytes each."""

    reasons: Mapping[str, int]
    """Rows by reason, most first."""
    caption_usd: Decimal | None
    """What a caption of this output cost in the mean; None: unknown."""
    keys: Hashes
    with_caption: Hashes
    """Of these, rows that hold a caption, though cut off: it was paid for, and no failure takes its place."""

    def __len__(self) -> int:
        return len(self.keys)

    def status_of(self, image: SourceImage) -> str | None:
        """None when it is to be asked; as if it had a caption when it is not among these rows."""
        return None if _holds(self.keys, image.key) else "captioned"

    def has_caption(self, key: str) -> bool:
        return _holds(self.with_caption, key)


def rows_to_retry(out: str, reasons: Sequence[str]) -> RowsToRetry:
    """Rows of OUT with one of these reasons; `filtered` means all of `filtered:CATEGORY`. Errors as `read_status`."""
    counts: Counter[str] = Counter()
    keys, with_caption = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    cost, priced = Decimal(0), 0
    for batch in iter_batches(out, _COLUMNS):
        paid = pc.and_(pc.equal(batch["status"], "captioned"), pc.not_equal(batch["mode"], "reused"))
        costs = batch["cost_usd"].filter(paid).drop_null()
        cost, priced = cost + (pc.sum(costs).as_py() or 0), priced + len(costs)
        rows = batch.filter(_matches(batch["reason"], reasons))
        counts.update(rows["reason"].to_pylist())
        hashes = hash_strings(rows["key"])
        keys.append(hashes)
        with_caption.append(hashes[pc.is_valid(rows["caption"]).to_numpy(zero_copy_only=False)])
    return RowsToRetry(
        dict(counts.most_common()),
        cost / priced if priced else None,
        np.sort(np.concatenate(keys)),
        np.sort(np.concatenate(with_caption)),
    )


def _matches(column: pa.Array, reasons: Sequence[str]) -> pa.Array:
    found = pc.is_in(column, pa.array(reasons, pa.string()))
    for reason in reasons:
        found = pc.or_(found, pc.starts_with(column, f"{reason}:").fill_null(False))
    return found


def _holds(ordered: Hashes, key: str) -> bool:
    hash_ = hash_text(key)
    position = ordered.searchsorted(hash_)
    return bool(position < len(ordered) and ordered[position] == hash_)
