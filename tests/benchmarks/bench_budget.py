"""Two hundred runs with a budget, faults and retries: was it passed, and how much of it was used?

python -m tests.benchmarks.bench_budget [--runs 200]
"""

import argparse
import asyncio

from tests.helpers.budget_runs import budget_run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    arguments = parser.parse_args()
    runs = [asyncio.run(budget_run(seed)) for seed in range(arguments.runs)]
    passed = sum(run.on_the_bill > run.limit or run.in_rows_or_unknown > run.limit for run in runs)
    print(f"{len(runs)} runs, {sum(run.requests for run in runs)} requests, {sum(run.faults for run in runs)} faults")
    print(f"  passed: {passed}   highest share on the bill {max(run.on_the_bill / run.limit for run in runs):.4%}")
    print(f"  used: least {min(run.used for run in runs):.2%}, mean {sum(run.used for run in runs) / len(runs):.2%}")


if __name__ == "__main__":
    main()
