"""What a limiter believes of what a server says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.limits.limiter import RAMP_SECONDS, Admission, Limiter
from pipeline.api.limits.rules import AZURE, COMPATIBLE, OPENAI, LimitRules
from pipeline.api.options import LimitOptions
from pipeline.api.reading.headers import RateHeaders, Standing

NUMBERS = (
    st.none() | st.sampled_from([0.0, 1.0, 60.0, 86_400.0]) | st.integers(0, 1_000_000).map(lambda number: number / 8)
)
STANDINGS = st.none() | st.builds(Standing, NUMBERS, NUMBERS, NUMBERS)


def answer(limiter: Limiter, now: float, requests: Standing | None = None, tokens: Standing | None = None) -> Admission:
    """A request of 100 tokens that takes a second."""
    admission = limiter.admit(100, now)
    admission.rates = RateHeaders(requests, tokens)
    admission.verdict = "answered"
    limiter.settle(admission, now + 1)
    return admission


@pytest.mark.parametrize(
    ("rules", "standing", "per_minute"),
    [
        (OPENAI, Standing(600, 599, 0.1), 600),
        (OPENAI, Standing(600, 600, 0.0), 600),
        (OPENAI, Standing(600), 600),  # without more to go by
        (OPENAI, Standing(10_000, 9_999, 8.64), None),  # requests per day
        (COMPATIBLE, Standing(14_400, 14_370, 179.56), None),
        (OPENAI, Standing(150_000, 149_984, 360), None),  # as the guide prints it, which adds up to nothing
        (OPENAI, Standing(0, 0, 1), None),
        (OPENAI, Standing(None, 100, 1), None),
        (AZURE, Standing(600, 300, 59), 600),
        (AZURE, Standing(600, 599, 86_400), None),
        (AZURE, Standing(8, 7, None), 8),
    ],
)
def test_only_a_minutes_limit_is_learned(rules: LimitRules, standing: Standing, per_minute: float | None) -> None:
    limiter = Limiter(LimitOptions(), rules, 0.0)
    answer(limiter, 0.0, requests=standing)
    assert (limiter.requests.per_minute if limiter.requests else None) == per_minute
    assert limiter.tokens is None


def test_what_was_used_before_it_was_learned_counts() -> None:
    limiter = Limiter(LimitOptions(), AZURE, 0.0)
    answer(limiter, 0.0, requests=Standing(600, 1, 20))
    assert limiter.requests is not None
    assert limiter.wait_seconds(100, 1.0) == 0
    limiter.admit(100, 1.0)
    assert limiter.wait_seconds(100, 2.0) == pytest.approx(18)  # 20 from when it was sent


@pytest.mark.parametrize(
    ("rules", "given", "standing", "per_minute"),
    [
        (AZURE, 600, Standing(300, 299, 59), 300),
        (AZURE, 600, Standing(100, 99, 9), 600),  # the limit of ten seconds
        (AZURE, 600, Standing(10, 9, 1), 600),
        (AZURE, 600, Standing(1200, 1199, 59), 600),  # the user wants no more than that
        (OPENAI, 600, Standing(500, 499, 172.8), 600),  # of a day
        (OPENAI, 600, Standing(500, 499, 0.12), 500),
    ],
)
def test_what_the_user_said_is_only_lowered(
    rules: LimitRules, given: float, standing: Standing, per_minute: float
) -> None:
    limiter = Limiter(LimitOptions(rpm=given), rules, 0.0)
    answer(limiter, 0.0, requests=standing)
    assert limiter.requests is not None
    assert limiter.requests.per_minute == per_minute


def test_what_was_learned_follows_the_server() -> None:
    limiter = Limiter(LimitOptions(), OPENAI, 0.0)
    for per_minute in (600, 1200, 300):
        answer(limiter, 0.0, requests=Standing(per_minute, per_minute - 1, 60 / per_minute))
        assert limiter.requests is not None
        assert limiter.requests.per_minute == per_minute


@pytest.mark.parametrize(
    ("rules", "standing", "seconds"),
    [
        (AZURE, Standing(600, 0, 30), 29.0),  # nothing more until its counter starts again
        (AZURE, Standing(600, 0, 0), 0.0),  # zero without a reset: seen where nothing is known
        (AZURE, Standing(600, 0, None), 0.0),
        (AZURE, Standing(600, None, 30), 0.0),
        (AZURE, Standing(600, 590, 30), 0.0),  # a few requests overtook this one
        (OPENAI, Standing(600, 0, 60), 0.0),  # refilled by ten in the meantime
        (OPENAI, Standing(6, 0, 60), 9.0),
    ],
)
def test_a_server_that_has_less_left_is_believed(rules: LimitRules, standing: Standing, seconds: float) -> None:
    limiter = Limiter(LimitOptions(rpm=standing.limit), rules, 0.0)
    answer(limiter, 0.0, requests=standing)
    assert limiter.wait_seconds(100, 1.0) == pytest.approx(seconds)


def test_older_news_do_not_count() -> None:
    limiter = Limiter(LimitOptions(rpm=600), AZURE, 0.0)
    older, newer = limiter.admit(100, 0.0), limiter.admit(100, 0.5)
    newer.rates = RateHeaders(Standing(600, 0, 30))
    older.rates = RateHeaders(Standing(600, 599, 30))
    limiter.settle(newer, 1.0)
    limiter.settle(older, 1.1)
    assert limiter.wait_seconds(100, 2.0) == pytest.approx(28.5, abs=0.01)


@pytest.mark.parametrize("rules", [OPENAI, AZURE, COMPATIBLE])
@given(st.lists(st.tuples(STANDINGS, STANDINGS, st.floats(0, 10)), max_size=20))
def test_no_headers_can_hold_a_request_for_long(
    rules: LimitRules, steps: list[tuple[Standing | None, Standing | None, float]]
) -> None:
    limiter = Limiter(LimitOptions(), rules, 0.0)
    now = 0.0
    for requests, tokens, pause in steps:
        now += pause
        admission = limiter.admit(100, now)
        admission.rates = RateHeaders(requests, tokens)
        limiter.settle(admission, now)
    for quota in (limiter.requests, limiter.tokens):
        if quota:
            cost = 1 if quota is limiter.requests else 100
            paid_off = 60 * cost * (len(steps) + 1) / quota.per_minute
            assert quota.wait_seconds(cost, now) <= max(61.0, paid_off)


def test_a_pause_holds_and_then_lets_them_go_one_by_one() -> None:
    limiter = Limiter(LimitOptions(concurrency=4), COMPATIBLE, 0.0)
    limiter.pause(10.0, 0.0)
    limiter.pause(5.0, 0.0)
    assert limiter.wait_seconds(1, 1.0) == 9
    limiter.admit(1, 10.0)
    assert limiter.wait_seconds(1, 10.0) == RAMP_SECONDS / 4
    assert limiter.wait_seconds(1, 10.0 + RAMP_SECONDS) == 0


def test_a_withdrawn_request_never_was() -> None:
    limiter = Limiter(LimitOptions(rpm=1, tpm=100, concurrency=1), OPENAI, 0.0)
    admission = limiter.admit(100, 0.0)
    assert limiter.wait_seconds(1, 0.0) is None
    limiter.withdraw(admission)
    assert limiter.wait_seconds(100, 0.0) == 0
    assert limiter.in_flight == 0


def leave_for(limiter: Limiter, seconds: float, begun: float = 0.0, tokens: int = 100) -> int:
    """How many leave, each as soon as it may, and end at once."""
    now, count = begun, 0
    while (wait := limiter.wait_seconds(tokens, now)) is not None and now + wait < begun + seconds:
        now += wait
        limiter.settle(limiter.admit(tokens, now), now)
        count += 1
    return count


def test_a_changed_limit_holds_at_once_and_what_was_taken_stays_taken() -> None:
    limiter = Limiter(LimitOptions(rpm=600, concurrency=8), OPENAI, 0.0)
    assert leave_for(limiter, 30) == pytest.approx(300, abs=3)
    limiter.set_limits(LimitOptions(rpm=60, concurrency=2), 30.0)
    assert limiter.use.concurrency == 2
    assert leave_for(limiter, 30, begun=30.0) == 0, "the minute holds 300, and 60 are allowed now"
    limiter.set_limits(LimitOptions(rpm=1200, concurrency=2), 60.0)
    assert leave_for(limiter, 20, begun=60.0) == pytest.approx(400, abs=8), "after a moment of catching up"


def test_a_limit_given_late_and_taken_away_again() -> None:
    limiter = Limiter(LimitOptions(), OPENAI, 0.0)
    limiter.set_limits(LimitOptions(rpm=600, tpm=6000), 0.0)
    assert (limiter.use.rpm, limiter.use.tpm) == (600, 6000)
    limiter.set_limits(LimitOptions(), 1.0)
    assert (limiter.use.rpm, limiter.use.tpm) == (None, None)
    answer(limiter, 1.0, requests=Standing(300, 299, 0.2))
    assert limiter.use.rpm == 300, "learned, as if none had been given"


def test_what_the_server_lowered_stays_when_another_limit_is_changed() -> None:
    limiter = Limiter(LimitOptions(rpm=600), OPENAI, 0.0)
    answer(limiter, 0.0, requests=Standing(300, 299, 0.2))
    limiter.set_limits(LimitOptions(rpm=600, concurrency=4), 2.0)
    assert (limiter.use.rpm, limiter.use.concurrency) == (300, 4)


def test_utilisation_is_what_was_taken_of_what_was_allowed() -> None:
    limiter = Limiter(LimitOptions(rpm=600, tpm=120_000), OPENAI, 0.0)
    assert limiter.use.rpm_used is None
    leave_for(limiter, 120)
    use = limiter.use
    assert use.rpm_used is not None
    assert use.tpm_used is not None
    assert 0.98 < use.rpm_used <= 1.001, "but for the windows' margin"
    assert use.tpm_used == pytest.approx(use.rpm_used / 2, rel=0.01), "100 tokens each, of 200"
    limiter.pause(120, 120.0)
    leave_for(limiter, 130, begun=120.0)
    assert limiter.use.rpm_used == pytest.approx(130 / 250, abs=0.03), "a pause leaves quota unused"


def test_utilisation_counts_each_limit_while_it_held() -> None:
    limiter = Limiter(LimitOptions(rpm=60), OPENAI, 0.0)
    leave_for(limiter, 120)
    limiter.set_limits(LimitOptions(rpm=600), 120.0)
    leave_for(limiter, 120, begun=120.0)
    assert limiter.use.rpm_used == pytest.approx(0.99, abs=0.02)


def test_what_leaves_a_little_late_does_not_make_all_others_late() -> None:
    def leave(seconds_late: float) -> list[float]:
        limiter, now, left = Limiter(LimitOptions(rpm=600), AZURE, 0.0), 0.0, []
        while now < 300:
            now += (limiter.wait_seconds(1, now) or 0.0) + seconds_late
            limiter.settle(limiter.admit(1, now), now)
            left.append(now)
        # 600 a minute are ten in any second.
        assert all(later - earlier >= 1 for earlier, later in zip(left, left[10:], strict=False))
        return left

    assert len(leave(0.004)) >= len(leave(0.0)) - 1
    assert len(leave(0.02)) < len(leave(0.0)) - 10, "more than that would show at the server"
