"""The set of finished keys against a plain dict, and which of several rows is the newest."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.items import Record
from pipeline.store.keys import finished
from pipeline.store.keys.finished import COLUMNS, TRANSIENT, FinishedKeys, superseded
from pipeline.store.keys.hashes import are_in
from pipeline.store.schema import records_to_batch
from tests.store.rows import REQUEST, row

rows = st.builds(
    row,
    st.sampled_from(["a", "b", "é", "\udcff", "x" * 300]),
    st.sampled_from(["v1", "v2", ""]),
    status=st.sampled_from(["captioned", "failed", "refused"]),
    reason=st.sampled_from([None, "timeout", "undecodable"]),
    request_hash=st.sampled_from([REQUEST, "request-2"]),
)


def load(keys: FinishedKeys, records: Sequence[Record]) -> bool:
    return keys.load([records_to_batch(records).select(list(COLUMNS))] if records else [])


def expected(records: Sequence[Record]) -> dict[tuple[str, str], str | None]:
    newest = {record.key: record for record in records}
    return {
        (key, version): r.status
        if (r.source_version, r.request_hash) == (version, REQUEST) and r.reason not in TRANSIENT
        else None
        for key, r in newest.items()
        for version in ("v1", "v2", "")
    }


@given(st.lists(rows, unique_by=lambda r: r.key, max_size=4), st.lists(rows, max_size=20), st.integers(1, 5))
def test_loaded_and_added_rows_answer_as_a_dict_would(old: list[Record], new: list[Record], recent: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finished, "_RECENT", recent)  # so that a few rows go through dict, arrays and merged arrays
        keys = FinishedKeys(REQUEST)
        old = [r for r in old if "\udcff" not in r.key]  # what was written is valid Unicode
        assert not load(keys, old)
        known = {r.key for r in old}
        for record in new:
            assert keys.add([record]) == (record.key in known)
            known.add(record.key)
    for (key, version), status in expected([*old, *new]).items():
        assert keys.status_of(key, version) == status
    assert keys.status_of("never seen", "v1") is None
    assert keys.other_requests == sum(r.request_hash != REQUEST for r in old)


@given(st.lists(st.integers(-5, 5)), st.lists(st.integers(-5, 5)))
def test_are_in_is_what_numpy_finds(some: list[int], among: list[int]) -> None:
    hashes, ordered = np.array(some, np.int64), np.sort(np.array(among, np.int64))
    assert are_in(hashes, ordered).tolist() == np.isin(hashes, ordered).tolist()


def test_arrays_stay_few() -> None:
    keys = FinishedKeys(REQUEST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finished, "_RECENT", 10)
        for n in range(0, 5000, 10):
            keys.add([row(f"{k}") for k in range(n, n + 10)])
    assert len(keys._settled._sorted) <= 10
    assert all(keys.status_of(f"{n}", "v1") == "captioned" for n in range(5000))


def test_loading_says_when_a_key_has_two_rows() -> None:
    assert not load(FinishedKeys(REQUEST), [row("a"), row("b")])
    assert load(FinishedKeys(REQUEST), [row("a"), row("b"), row("a", "v2")])


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True), max_size=5))
def test_superseded_leaves_the_last_row_of_each_key(parts: list[list[str]]) -> None:
    masks = superseded([partial(pa.chunked_array, [part], pa.string()) for part in parts])
    assert [len(mask) for mask in masks] == [len(part) for part in parts]
    left = [(key, n) for n, (part, mask) in enumerate(zip(parts, masks, strict=True)) for key in np.array(part)[~mask]]
    assert sorted(left) == sorted({key: n for n, part in enumerate(parts) for key in part}.items())


def test_keys_that_share_64_bits_are_told_apart() -> None:
    with pytest.MonkeyPatch.context() as patch:
        real = finished.hash_strings

        def colliding(column: pa.ChunkedArray, salt: bytes = b"") -> finished.Hashes:
            return real(column, salt) if salt else np.zeros(len(column), np.int64)

        patch.setattr(finished, "hash_strings", colliding)
        masks = superseded([partial(pa.chunked_array, [["a", "b"]]), partial(pa.chunked_array, [["c", "b"]])])
    assert [mask.tolist() for mask in masks] == [[False, True], [False, False]]


def test_no_rows_are_loaded_as_well() -> None:
    keys = FinishedKeys(REQUEST)
    assert not keys.load([])
    assert not keys.load([records_to_batch([])])
    assert keys.status_of("a", "v1") is None
    assert superseded([]) == []
