from datetime import date
from decimal import Decimal

import pytest

from pipeline.errors import UserError
from pipeline.report.tokens import explain_tokens, render_tokens

TODAY = date(2026, 11, 21)


def test_every_policy_with_its_size_tokens_and_dollars() -> None:
    report = explain_tokens("gpt-4o", 3000, 2000, "auto", TODAY, budgets=["budget:500"])
    assert (report.model, report.detail, report.tokens, report.usd) == (
        "openai:gpt-4o", "high", 1105, Decimal("0.0027625"),
    )  # fmt: skip
    assert [(p.policy, p.width, p.height, p.tokens) for p in report.policies] == [
        ("original", 3000, 2000, 1105),
        ("optimal", 1152, 768, 1105),
        ("economy", 1024, 683, 765),
        ("budget:500", 768, 512, 425),
    ]


def test_economy_keeps_to_what_it_may_take() -> None:
    report = explain_tokens("gpt-4o", 3000, 2000, "high", TODAY, max_shrink=0.05)
    assert report.policies[2].tokens == 1105


@pytest.mark.parametrize(
    ("model", "grid"),
    [
        ("gpt-4o", "2x2 = 4 tiles of 512 px"),
        ("gpt-5-mini", "32x32 = 1024 patches of 32 px"),
        ("claude-haiku-4-5", "37x37 = 1369 patches of 28 px"),
        ("compatible:qwen3-vl", "32x32 = 1024 patches of 32 px"),
        ("gemini-3-pro", None),
    ],
)
def test_how_the_image_is_cut_up(model: str, grid: str | None) -> None:
    assert explain_tokens(model, 1024, 1024, "high", TODAY).grid == grid


@pytest.mark.parametrize(("model", "documented"), [("gpt-5-mini", 1659), ("gpt-4.1-mini", None), ("gpt-4o", None)])
def test_the_vendors_table_where_it_differs(model: str, documented: int | None) -> None:
    report = explain_tokens(model, 1024, 1024, "high", TODAY)
    assert report.documented_tokens == documented
    assert ("vendor's table" in render_tokens(report)) == (documented is not None)


@pytest.mark.parametrize(
    ("model", "size", "detail", "budgets"),
    [
        ("gpt-4o", (0, 5), "high", ()),
        ("gpt-4o", (100_000, 5), "high", ()),
        ("gpt-4o", (10, 10), "huge", ()),
        ("gpt-4o", (10, 10), "high", ("budget:-1",)),
        ("builtin:describe", (10, 10), "high", ()),
        ("whisper-1", (10, 10), "high", ()),
    ],
)
def test_what_cannot_be(model: str, size: tuple[int, int], detail: str, budgets: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as error:
        explain_tokens(model, *size, detail, TODAY, budgets=budgets)
    assert str(error.value).endswith(".")
