from typing import Any

import pytest

from pipeline.api.options import LimitOptions, ModelOptions
from pipeline.errors import UserError


@pytest.mark.parametrize("name", ["rpm", "tpm", "timeout_seconds", "patience_seconds"])
@pytest.mark.parametrize("value", [0, -1.0, float("inf"), float("nan")])
def test_limits_are_above_zero(name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(UserError, match=name):
        LimitOptions(**options)


@pytest.mark.parametrize("name", ["concurrency", "max_attempts"])
def test_counts_are_at_least_one(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    with pytest.raises(UserError, match=name):
        LimitOptions(**options)


@pytest.mark.parametrize("options", [{"max_tokens": 0}, {"max_shrink": 1.5}, {"max_shrink": float("nan")}])
def test_a_model_option_out_of_range_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        ModelOptions(**options)


def test_unknown_limits_are_none() -> None:
    assert (LimitOptions().rpm, LimitOptions().tpm) == (None, None)
