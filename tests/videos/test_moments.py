import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.videos import label
from pipeline.videos.moments import by_scenes, evenly


@given(st.floats(0.01, 1e6), st.integers(1, 200))
def test_even_moments_are_ascending_and_the_same_apart(duration: float, count: int) -> None:
    moments = evenly(duration, count)
    assert len(moments) == count
    assert moments[0] > 0
    assert moments[-1] < duration
    assert np.diff(moments) == pytest.approx(duration / count)


looks = st.lists(st.tuples(st.floats(0, 99), st.integers(0, 255)), max_size=20, unique_by=lambda look: look[0])


@given(looks, st.integers(1, 30))
def test_moments_by_scenes_are_as_many_ascending_and_within(found: list[tuple[float, int]], count: int) -> None:
    pictures = [(at, np.full((4, 4), grey, np.uint8)) for at, grey in sorted(found)]
    moments = by_scenes(100.0, count, pictures)
    assert len(moments) == count
    assert moments == sorted(moments)
    assert moments[0] >= 0
    assert moments[-1] <= 100


def test_the_strongest_cuts_count_where_there_are_too_many() -> None:
    greys = [0, 0, 30, 30, 230, 230, 200, 200]
    pictures = [(float(at), np.full((4, 4), grey, np.uint8)) for at, grey in enumerate(greys)]
    assert by_scenes(8.0, 2, pictures) == [1.75, 5.75]  # cut at 3.5, between the third pair


def test_small_changes_are_no_cuts() -> None:
    pictures = [(float(at), np.full((4, 4), 100 + 10 * (at % 2), np.uint8)) for at in range(8)]
    assert by_scenes(8.0, 4, pictures) == evenly(8.0, 4)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "00:00.000"), (1.5, "00:01.500"), (59.9996, "01:00.000"), (754.25, "12:34.250"), (3723.004, "1:02:03.004")],
)
def test_times_are_told_with_milliseconds(seconds: float, told: str) -> None:
    assert label(3, seconds) == f"Frame 3 at {told}"
