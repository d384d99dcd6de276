"""Percentiles against sorting; memory that does not grow."""

import json
import sys

from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.metrics.histogram import MOST, Histogram

MILLISECONDS = st.integers(0, 10) | st.integers(0, 100_000) | st.integers(0, MOST)


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(st.lists(MILLISECONDS, min_size=1), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_that_of_the_sorted_values_to_three_percent(values: list[int], share: float) -> None:
    exact = next(value for rank, value in enumerate(sorted(values), 1) if rank >= share * len(values))
    found = filled(values).percentile(share)
    assert found is not None
    assert exact <= found <= exact * 33 / 32


def test_without_values_there_is_no_percentile() -> None:
    assert Histogram().to_dict() == {"p50": None, "p90": None, "p99": None, "max": 0, "buckets": []}


def test_an_endless_wait_counts_as_the_longest() -> None:
    assert filled([10**12]).percentile(1) == MOST


def test_the_buckets_are_json_and_count_every_value() -> None:
    written = json.loads(json.dumps(filled([0, 5, 5, 1000, 1001]).to_dict()))
    assert written["buckets"] == [[0, 1], [5, 2], [1007, 2]]
    assert written["max"] == 1001


def test_memory_stays_flat() -> None:
    assert sys.getsizeof(filled(list(range(0, MOST, MOST // 10_000)))._buckets) < 10_000
