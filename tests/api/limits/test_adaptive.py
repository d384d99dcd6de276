import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.limits.adaptive import EPISODE_SECONDS, SLOW_DOWN_SECONDS, START, AdaptiveConcurrency


def adaptive(maximum: int = 256, start: int | None = START) -> AdaptiveConcurrency:
    return AdaptiveConcurrency(maximum, start=start, now=0.0)


def play_round(controller: AdaptiveConcurrency, now: float, seconds: float = 1.0, used: float = 1.0) -> int:
    """As many answers as may be in flight, of which `used` really were; the limit after it."""
    controller.used(round(used * controller.limit))
    for _ in range(controller.limit):
        controller.answered(seconds, now)
    return controller.limit


def test_it_doubles_while_all_of_it_is_used_and_never_passes_the_maximum() -> None:
    controller = adaptive(100)
    assert [play_round(controller, now) for now in range(5)] == [16, 32, 64, 100, 100]


def test_it_does_not_grow_while_it_is_not_used() -> None:
    controller = adaptive()
    assert [play_round(controller, now, used=0.5) for now in range(5)] == [START] * 5


def test_a_maximum_below_the_start_is_kept() -> None:
    assert adaptive(3).limit == 3
    assert adaptive(300, start=None).limit == 300


def test_one_decrease_in_an_episode_then_a_little_more_each_round() -> None:
    controller = adaptive()
    for now in range(3):
        play_round(controller, now)
    assert controller.limit == 64
    for now in (3.0, 3.1, 10.0, 3 + EPISODE_SECONDS - 0.1):
        controller.rate_limited(1.0, now)
        assert controller.limit == 51
    assert play_round(controller, 10) == 51
    assert play_round(controller, 3 + EPISODE_SECONDS) == 53
    assert play_round(controller, 3 + EPISODE_SECONDS) == 55


def test_an_episode_is_as_long_as_the_server_asks_to_wait() -> None:
    controller = adaptive(100, start=None)
    controller.rate_limited(120.0, 0.0)
    controller.rate_limited(1.0, 119.0)
    assert controller.limit == 80
    controller.rate_limited(1.0, 120.0)
    assert controller.limit == 64


def test_faults_of_the_server_pause_growth_only() -> None:
    controller = adaptive()
    controller.troubled(0.0)
    assert play_round(controller, EPISODE_SECONDS - 1) == START
    assert play_round(controller, EPISODE_SECONDS) == 2 * START


def test_slow_down_means_a_quarter_of_an_hour() -> None:
    controller = adaptive(100, start=50)
    controller.told_to_slow_down(0.0)
    controller.told_to_slow_down(1.0)
    assert controller.limit == 40
    assert play_round(controller, SLOW_DOWN_SECONDS) == 40
    assert play_round(controller, SLOW_DOWN_SECONDS + 1) == 42


def test_answers_that_become_slow_end_the_growth() -> None:
    controller = adaptive()
    limits = []
    for now in range(20):  # a server with 8 places: the more are in flight, the longer each takes
        limits.append(play_round(controller, now, seconds=controller.limit / 8))
    assert max(limits) <= 4 * START
    assert limits[-1] >= 2 * START


def test_a_server_that_is_quick_is_not_measured() -> None:
    controller = adaptive()
    for now, seconds in enumerate([0.001, 0.01, 0.1, 0.2]):
        play_round(controller, now, seconds)
    assert controller.limit == 128


def test_every_change_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    controller = adaptive(10)
    play_round(controller, 0)
    controller.rate_limited(0.0, 1.0)
    assert [record.getMessage() for record in caplog.records] == [
        "Requests in flight at most: 10 instead of 8 (all in use).",
        "Requests in flight at most: 8 instead of 10 (rate limited).",
    ]


@given(st.integers(1, 50), st.lists(st.tuples(st.sampled_from(["answer", "429", "500", "slow"]), st.floats(0, 60))))
def test_it_stays_between_one_and_the_maximum(maximum: int, events: list[tuple[str, float]]) -> None:
    controller, now = adaptive(maximum), 0.0
    for kind, pause in events:
        now += pause
        match kind:
            case "answer":
                play_round(controller, now)
            case "429":
                controller.rate_limited(pause, now)
            case "500":
                controller.troubled(now)
            case "slow":
                controller.told_to_slow_down(now)
        assert 1 <= controller.limit <= maximum
