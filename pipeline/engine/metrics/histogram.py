"""A histogram of durations in logarithmic buckets, as HdrHistogram's: every percentile to 3 %, whatever the range."""

from collections.abc import Iterator

# 32 buckets for each doubling: a value is known to 1/32.
SUB_BITS = 5
MOST = 2**31 - 1
"""Twenty-five days in milliseconds; what is longer counts as that."""


class Histogram:
    """Counts of whole numbers, milliseconds for all we use it for; 7 KB, however many."""

    def __init__(self) -> None:
        self.largest = 0
        self._buckets = [0] * (_bucket(MOST) + 1)

    def add(self, value: int) -> None:
        """A value, not below 0."""
        if value > self.largest:
            self.largest = value = min(value, MOST)
        self._buckets[_bucket(value)] += 1

    def percentile(self, share: float) -> int | None:
        """The value that a `share` of all (0 to 1) does not exceed, rounded up to its bucket; None without values."""
        seen, total = 0, sum(self._buckets)
        for value, count in self._filled():
            seen += count
            if seen >= share * total:
                return min(value, self.largest)
        return None

    def to_dict(self) -> dict[str, object]:
        """Percentiles, and the filled buckets as pairs of largest value and count, for who wants to draw or add up."""
        percentiles = {f"p{percent}": self.percentile(percent / 100) for percent in (50, 90, 99)}
        return {**percentiles, "max": self.largest, "buckets": [list(pair) for pair in self._filled()]}

    def _filled(self) -> Iterator[tuple[int, int]]:
        for bucket, count in enumerate(self._buckets):
            if count:
                yield _largest_of(bucket), count


def _bucket(value: int) -> int:
    shift = value.bit_length() - SUB_BITS - 1
    return value if shift <= 0 else (shift << SUB_BITS) + (value >> shift)


def _largest_of(bucket: int) -> int:
    shift = (bucket >> SUB_BITS) - 1
    return bucket if shift <= 0 else ((bucket - (shift << SUB_BITS) + 1) << shift) - 1
