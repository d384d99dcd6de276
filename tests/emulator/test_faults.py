import pytest

from pipeline.emulator.faults import FAULTS, LASTING, PASSING, SPOILING, Arrival, Step, chance, decide


def arrival(number=1, seconds=0.0, question="q", images=("abcdef",), attempt=1, endpoint=""):
    return Arrival(number, seconds, question, images, attempt, endpoint)


def fault(steps=(), rates=None, seed=0, **about):
    step = decide(steps, rates or {}, seed, arrival(**about))
    return step and step.fault


def test_a_step_holds_for_the_requests_it_names():
    steps = [Step("overloaded", requests=(3, 4))]
    assert [fault(steps, number=number) for number in range(1, 6)] == [None, None, "overloaded", "overloaded", None]


def test_a_step_holds_for_its_seconds():
    steps = [Step("cut", seconds=(30, 60))]
    assert [fault(steps, seconds=at) for at in (29.9, 30.0, 59.9, 60.0)] == [None, "cut", "cut", None]


def test_a_step_can_strike_one_endpoint_alone():
    steps = [Step("cut", endpoint="east")]
    assert [fault(steps, endpoint=name) for name in ("", "east", "west")] == [None, "cut", None]


def test_a_step_can_name_an_image_by_the_beginning_of_its_digest():
    steps = [Step("content_filter", image="abc")]
    assert fault(steps, images=("123456", "abcdef")) == "content_filter"
    assert fault(steps, images=("123456",)) is None


def test_a_step_can_spare_what_it_failed_before():
    steps = [Step("server_error", attempts=1)]
    assert [fault(steps, attempt=attempt) for attempt in (1, 2)] == ["server_error", None]


def test_the_first_step_that_fits_decides_and_goes_before_the_rates():
    steps = [Step("cut", requests=(2, 2)), Step("hang", requests=(2, 3))]
    assert [fault(steps, {"html": 1.0}, number=number) for number in (1, 2, 3)] == ["html", "cut", "hang"]


def test_rates_are_kept_on_average():
    rates = {"overloaded": 0.2, "cut": 0.1, "refusal": 0.05}
    drawn = [fault(rates=rates, question=f"q{n}", images=(f"i{n}",)) for n in range(5000)]
    share = {name: drawn.count(name) / len(drawn) for name in rates}
    assert share["refusal"] == pytest.approx(0.05, abs=0.015)
    assert share["overloaded"] == pytest.approx(0.2 * 0.95, abs=0.02)
    assert share["cut"] == pytest.approx(0.1 * 0.95, abs=0.02)


def test_the_same_question_meets_the_same_fate_whatever_came_before():
    rates = {"overloaded": 0.5}
    first = [fault(rates=rates, question=f"q{n}", number=n) for n in range(1, 50)]
    again = [fault(rates=rates, question=f"q{n}", number=100 - n) for n in range(1, 50)]
    assert first == again
    assert {None, "overloaded"} == set(first)
    assert first != [fault(rates=rates, seed=1, question=f"q{n}", number=n) for n in range(1, 50)]


def test_passing_faults_may_spare_the_next_attempt_and_lasting_ones_never_do():
    attempts = range(1, 40)
    assert len({fault(rates={"overloaded": 0.5}, attempt=attempt) for attempt in attempts}) == 2
    assert len({fault(rates={"refusal": 0.5}, attempt=attempt) for attempt in attempts}) == 1


def test_of_images_that_are_asked_together_one_poisons_all():
    rates = {"content_filter": 0.3}
    alone = {name: fault(rates=rates, images=(name,)) for name in map(str, range(40))}
    for poisoned in alone:
        for other in alone:
            together = fault(rates=rates, question="both", images=(other, poisoned))
            assert together == (alone[poisoned] or alone[other])


def test_chance_is_a_share():
    assert all(0 <= chance(7, "x", n) < 1 for n in range(100))


def test_every_fault_is_described_once():
    assert not set(LASTING) & set(PASSING)
    assert set(FAULTS) >= SPOILING
