"""Some of the two hundred runs of `bench_budget`: a budget is never passed, and hardly left unused."""

import pytest

from tests.helpers.budget_runs import budget_run

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("seed", range(5))
async def test_a_budget_is_never_passed_and_hardly_left_unused(seed: int) -> None:
    run = await budget_run(seed)
    assert run.closed
    assert run.on_the_bill <= run.limit, "also with what was lost on its way"
    assert run.in_rows_or_unknown <= run.limit
    assert run.used >= 0.97
