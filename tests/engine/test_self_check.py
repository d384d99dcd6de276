"""The self-check: residuals per model and detail, what is systematic, what it means in dollars."""

from decimal import Decimal

import pytest

from pipeline.engine.self_check import Residuals, compare, residuals_to_list
from pipeline.items import Record


def row(predicted: int | None, billed: int | None, detail: str = "high") -> Record:
    return Record(
        "k", "u", "v", "captioned", "h", "r", "openai", "gpt-4o",
        detail=detail, predicted_prompt_tokens=predicted, prompt_tokens=billed,
    )  # fmt: skip


def test_residuals_are_kept_by_model_and_detail() -> None:
    residuals: Residuals = {}
    for record in (row(100, 103), row(200, 195), row(85, 85, "low"), row(None, 5), row(5, None)):
        compare(residuals, record)
    high, low = residuals["gpt-4o", "high"], residuals["gpt-4o", "low"]
    assert (high.images, high.mean, high.largest, high.systematic) == (2, -1.0, -5, True)
    assert (low.images, low.mean, low.largest, low.systematic) == (1, 0.0, 0, False)


@pytest.mark.parametrize(("price", "usd"), [(Decimal("0.0000025"), "0.0000075"), (None, None)])
def test_the_difference_in_dollars(price: Decimal | None, usd: str | None) -> None:
    residuals: Residuals = {}
    compare(residuals, row(100, 103))
    [told] = residuals_to_list(residuals, price)
    assert told == {
        "model": "gpt-4o", "detail": "high", "images": 1, "mean_residual_tokens": 3.0, "largest_residual_tokens": 3,
        "systematic": True, "usd": usd,
    }  # fmt: skip
