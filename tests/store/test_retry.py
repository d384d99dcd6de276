"""Which rows are asked again."""

from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.store.keys.retry import rows_to_retry
from tests.store.rows import image, row, store

ROWS = [
    row("fine", cost_usd=Decimal("0.004")),
    row("copy", cost_usd=Decimal(0), mode="reused"),
    row("dear", cost_usd=Decimal("0.002")),
    row("hate", status="filtered", reason="filtered:hate", caption=None),
    row("sexual", status="filtered", reason="filtered:sexual", caption=None),
    row("cut", status="truncated", reason="truncated"),
    row("late", status="failed", reason="timeout", caption=None),
    row("odd", status="failed", reason="filtered_elsewhere", caption=None),
]


@pytest.mark.parametrize(
    ("reasons", "keys"),
    [
        (["filtered"], {"hate", "sexual"}),
        (["filtered:hate"], {"hate"}),
        (["truncated", "timeout"], {"cut", "late"}),
        (["refused"], set()),
    ],
)
def test_rows_by_reason(tmp_path: Path, reasons: list[str], keys: set[str]) -> None:
    with store(tmp_path, rows_per_part=3) as opened:
        for each in ROWS:
            opened.append([each])
        found = rows_to_retry(str(tmp_path), reasons)
    assert {each.key for each in ROWS if found.status_of(image(each.key)) is None} == keys
    assert len(found) == sum(found.reasons.values()) == len(keys)
    assert found.has_caption("cut") == ("cut" in keys)
    assert not found.has_caption("late")
    assert found.caption_usd == Decimal("0.003"), "a copy costs nothing and is no example"
