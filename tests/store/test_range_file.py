"""A file of which some ranges were fetched beforehand reads like any other."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pipeline.store.folders.range_file import TAIL_BYTES, RangeFile

CONTENT = bytes(range(256)) * (2 * TAIL_BYTES // 256)
SIZE = len(CONTENT)
ranges = st.tuples(st.integers(0, SIZE - 1), st.integers(1, 5000)).map(lambda r: (r[0], min(r[0] + r[1], SIZE)))


@given(st.lists(ranges, max_size=6), st.lists(ranges, max_size=6))
def test_it_reads_what_is_there_whatever_was_told(told: list[tuple[int, int]], read: list[tuple[int, int]]) -> None:
    fetched: list[tuple[int, int]] = []

    def fetch(pieces: Sequence[tuple[int, int]]) -> list[bytes]:
        fetched.extend(pieces)
        return [CONTENT[begin:end] for begin, end in pieces]

    file = RangeFile(SIZE, fetch)
    assert fetched == [(SIZE - TAIL_BYTES, SIZE)]
    file.prefetch(told)
    for begin, end in (*told, *read):
        file.seek(begin - SIZE, 2)
        assert file.read(end - begin) == CONTENT[begin:end]
        assert file.tell() == end
    file.seek(SIZE - 3)
    assert file.read() == CONTENT[-3:]
    assert file.read(1) == b""


def test_what_was_told_is_fetched_in_one_go() -> None:
    goes: list[list[tuple[int, int]]] = []

    def fetch(pieces: Sequence[tuple[int, int]]) -> list[bytes]:
        goes.append(list(pieces))
        return [CONTENT[begin:end] for begin, end in pieces]

    file = RangeFile(SIZE, fetch)
    file.prefetch([(900, 1000), (4, 500), (SIZE - 100, SIZE - 50)])
    for begin, end in [(4, 500), (10, 20), (900, 1000), (SIZE - 100, SIZE)]:
        file.seek(begin)
        assert file.read(end - begin) == CONTENT[begin:end]
    assert goes == [[(SIZE - TAIL_BYTES, SIZE)], [(4, 500), (900, 1000)]]
