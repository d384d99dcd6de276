"""Whatever leaves, comes back and is lost: the limit is never passed."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.limits.budget import MARGIN, Budget, may_be_billed
from pipeline.items import Failure
from tests.helpers.pool import DOLLAR_A_TOKEN, request

USD = st.integers(0, 5000).map(lambda cents: Decimal(cents) / 100)
STEPS = st.lists(st.tuples(st.sampled_from(["send", "answer", "lose", "cancel"]), USD, st.floats(0, 1)), max_size=60)


@given(USD, STEPS)
def test_it_is_never_passed(limit: Decimal, steps: list[tuple[str, Decimal, float]]) -> None:
    budget = Budget(limit)
    in_flight: list[Decimal] = []
    for what, usd, share in steps:
        if what == "send":
            if budget.fits(usd):
                budget.reserve(usd)
                in_flight.append(usd)
            elif not in_flight:
                assert budget.is_spent(usd)
        elif in_flight:
            worst = in_flight.pop(int(share * (len(in_flight) - 1)))
            if what == "cancel":
                budget.give_back(worst)
            else:
                billed = None if what == "lose" else (worst * Decimal(share)).quantize(Decimal("0.01"))
                budget.settle(worst, billed, MARGIN)
        assert budget.reserved == sum(in_flight)
        assert budget.spent + budget.unknown + budget.reserved <= limit


def test_the_first_goes_alone_and_its_bill_is_learned_from() -> None:
    budget = Budget(Decimal(10_000))
    worst = budget.worst_usd(request(100), 50, DOLLAR_A_TOKEN)
    assert worst == 150 * MARGIN
    budget.reserve(worst)
    assert not budget.fits(worst), "nobody knows yet how the provider counts"
    budget.settle(worst, Decimal(306), MARGIN)
    assert budget.worst_usd(request(100), 50, DOLLAR_A_TOKEN) == 306, "twice as much as was thought"
    budget.reserve(Decimal(306))
    assert budget.fits(Decimal(306))


def test_many_bills_that_say_the_same_are_learned_from_once() -> None:
    """All of them left before the first of them came back."""
    budget = Budget(Decimal(10_000))
    budget.reserve(Decimal(1))
    budget.settle(Decimal(1), Decimal(1), MARGIN)
    for _ in range(50):
        budget.reserve(Decimal(1))
    for _ in range(50):
        budget.settle(Decimal(1), Decimal("1.2"), MARGIN)
    assert budget.margin == MARGIN * Decimal("1.2")


def test_an_answer_of_unknown_price_keeps_its_worst_case() -> None:
    budget = Budget(Decimal(300))
    budget.reserve(Decimal(100))
    budget.settle(Decimal(100), None, MARGIN)
    assert (budget.spent, budget.unknown) == (0, 100)
    assert budget.fits(Decimal(200))
    assert not budget.fits(Decimal(201))


def test_what_nobody_can_say_never_fits() -> None:
    budget = Budget(Decimal(300))
    assert not budget.fits(budget.worst_usd(request(100), 50, None))
    assert not budget.fits(budget.worst_usd(replace(request(100), predicted_prompt_tokens=None), 50, DOLLAR_A_TOKEN))


@pytest.mark.parametrize(
    ("failure", "billed"),
    [
        (Failure("unreachable", "x"), False),
        (Failure("wrong_address", "x"), False),
        (Failure("timeout", "x"), True),
        (Failure("server_error", "The connection broke."), True),
        (Failure("server_error", "Not JSON.", http_status=200), True),
        (Failure("filtered:hate", "x", "filtered", http_status=400), True),
        (Failure("rejected:context_length_exceeded", "x", http_status=400, code="context_length_exceeded"), True),
        (Failure("timeout", "x", http_status=408), True),
        (Failure("server_error", "x", http_status=504), True),
        (Failure("server_error", "x", http_status=503), False),
        (Failure("rate_limited", "x", http_status=429), False),
        (Failure("credentials_refused", "x", http_status=401), False),
        (Failure("rejected:unsupported_parameter", "x", http_status=400), False),
    ],
)
def test_what_may_be_on_the_bill(failure: Failure, billed: bool) -> None:
    assert may_be_billed(failure) is billed
