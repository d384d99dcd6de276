from dataclasses import replace

import pytest

from pipeline.api.limits.rules import AdmissionCost, Counting, limit_rules
from pipeline.api.options import LimitOptions
from pipeline.errors import UserError
from tests.engine.making import request


@pytest.mark.parametrize(
    ("provider", "requests", "tokens", "counting", "refills"),
    [
        ("openai", (60,), (60,), "larger", True),
        ("azure", (60, 10, 1), (60,), "sum", False),
        ("compatible", (60,), (60,), "usage", True),
    ],
)
def test_each_provider_has_its_manner(
    provider: str, requests: tuple[float, ...], tokens: tuple[float, ...], counting: str, refills: bool
) -> None:
    rules = limit_rules(provider, LimitOptions())
    assert (rules.request_windows, rules.token_windows, rules.counting, rules.refills) == (
        requests, tokens, counting, refills,
    )  # fmt: skip


def test_the_user_knows_better() -> None:
    options = LimitOptions(request_windows=(10,), token_windows=(), token_counting="sum")
    rules = limit_rules("openai", options)
    assert (rules.request_windows, rules.token_windows, rules.counting) == ((60, 10), (60,), "sum")


@pytest.mark.parametrize("windows", [(0.5,), (61.0,), (float("nan"),)])
def test_a_window_is_between_a_second_and_a_minute(windows: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="token_windows"):
        LimitOptions(token_windows=windows)


@pytest.mark.parametrize(
    ("counting", "max_tokens", "characters", "tokens"),
    [
        ("sum", 300, 40, 570),  # predicted: 255 for the image, 270 in all
        ("usage", 300, 40, 570),
        ("larger", 300, 40, 300),
        ("larger", 200, 40, 270),
        ("larger", 200, 401, 255 + 101),  # by length the text is more than our exact count
        ("sum", 200, 401, 255 + 101 + 200),
    ],
)
def test_a_request_costs_what_the_provider_takes_it_for(
    counting: Counting, max_tokens: int, characters: int, tokens: int
) -> None:
    assert AdmissionCost(counting, max_tokens, characters).of(request()) == tokens


def test_an_images_own_prompt_counts_too() -> None:
    plain = request()
    own = replace(plain, image=replace(plain.image, prompt="x" * 4000))
    cost = AdmissionCost("sum", 100, 40)
    assert cost.of(own) == 255 + 1010 + 100
