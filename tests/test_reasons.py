"""The codes of column `reason`: whatever the code says an image failed for is one of them, and the README tells all."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.api.reading.failures import REASON_OF_STATUS
from pipeline.api.retry import TRANSIENT_REASONS
from pipeline.reasons import FAMILIES, REASONS, TRANSIENT, is_reason, unknown_reason
from tests.test_readme import table

ROOT = Path(__file__).parent.parent / "pipeline"
STOPS_THE_RUN = {"credentials_refused", "quota_exhausted", "not_found", "wrong_address", "unreachable"}
"""Never in a row: see `api.retry`."""


def given_reasons() -> Iterator[tuple[str, str]]:
    """Every literal that is given to ImageError or Failure as the reason."""
    for path in ROOT.rglob("*.py"):
        if "emulator" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if node.func.id in ("ImageError", "Failure") and isinstance(first, ast.Constant):
                    yield path.name, first.value
                if node.func.id == "Failure" and isinstance(first, ast.JoinedStr):
                    yield path.name, "".join(str(getattr(part, "value", "x")) for part in first.values)


def test_every_reason_that_the_code_gives_is_in_the_table() -> None:
    found = list(given_reasons())
    assert len(found) > 20
    unknown = {(name, reason) for name, reason in found if not is_reason(reason) and reason not in STOPS_THE_RUN}
    assert not unknown, "add it to pipeline/reasons.py and to the README's table"
    assert all(is_reason(reason) or reason in STOPS_THE_RUN for reason in REASON_OF_STATUS.values())


def test_the_next_run_asks_again_for_what_passes() -> None:
    assert set(TRANSIENT) == TRANSIENT_REASONS - STOPS_THE_RUN | {"rate_limited", "left_out", "access_denied"}


def test_the_readme_has_the_same_table() -> None:
    told = [(cells[0].strip("`"), cells[1], cells[2]) for cells in table("reason")]
    assert told == [(reason.name, reason.meaning, reason.asked_again) for reason in REASONS]


@pytest.mark.parametrize("code", ["filtered", "filtered:hate", "rejected", "rejected:400", "timeout"])
def test_codes_that_a_row_can_have(code: str) -> None:
    assert is_reason(code)
    assert unknown_reason([code]) is None


@pytest.mark.parametrize(
    ("code", "near"), [("timeot", "'timeout'"), ("refused:x", "'refused'"), ("zzz", "undecodable")]
)
def test_a_mistyped_code_names_the_right_one(code: str, near: str) -> None:
    assert near in (unknown_reason(["timeout", code]) or "")


def test_families_are_reasons() -> None:
    assert set(FAMILIES) < {reason.name for reason in REASONS}
