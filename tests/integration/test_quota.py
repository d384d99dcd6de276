"""The whole wire under a limit, ten times as fast: what the benchmark measures, without its figures."""

import pytest

from tests.benchmarks.bench_throttle import SCENARIOS, measure, ours, plain


@pytest.mark.integration
def test_a_plain_loop_is_refused_far_more_often() -> None:
    [scenario] = [scenario for scenario in SCENARIOS if scenario.name == "azure-10s"]
    ours_refused, plain_refused = (measure(scenario, loop, 40, scale=10).refused_share for loop in (ours, plain))
    assert plain_refused > 0.1, "else the limit was not reached"
    assert ours_refused * 10 <= plain_refused
