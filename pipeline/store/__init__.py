"""What survives a crash: the journal, the Parquet parts, their schema, the set of finished keys.

The only room with pyarrow and sqlite3. Importing it loads neither: everything but `StoreOptions` comes on first use.

    with open_store(out, options, clock, run_id, request_hash) as store:    a run writes
        store.finished_status(image), store.append(records)
    read_status(out), iter_batches(out, columns)                            everybody reads, at any moment
"""

from typing import TYPE_CHECKING, Any

from pipeline.store.options import StoreOptions

if TYPE_CHECKING:
    from pipeline.store.dataset import Store, compact, open_store, try_output
    from pipeline.store.history import completion_tokens, finished_keys, read_job, request_counts
    from pipeline.store.keys.prune import ListedKeys
    from pipeline.store.keys.retry import RowsToRetry, rows_to_retry
    from pipeline.store.schema import SCHEMA, records_to_batch
    from pipeline.store.status import ReasonCount, Status, iter_batches, read_status

__all__ = [
    "SCHEMA",
    "ListedKeys",
    "ReasonCount",
    "RowsToRetry",
    "Status",
    "Store",
    "StoreOptions",
    "compact",
    "completion_tokens",
    "finished_keys",
    "iter_batches",
    "open_store",
    "read_job",
    "read_status",
    "records_to_batch",
    "request_counts",
    "rows_to_retry",
    "try_output",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from pipeline.store import dataset, history, schema, status
        from pipeline.store.keys import captioned, prune, retry

        for module in (dataset, history, status, schema, captioned, retry, prune):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
