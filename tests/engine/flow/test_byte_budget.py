"""The byte budget: never above its limit but for one oversized item alone, first come first served."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.flow.byte_budget import ByteBudget


async def test_waits_until_it_fits_in_order() -> None:
    budget = ByteBudget(100)
    await budget.take(80)
    large = asyncio.ensure_future(budget.take(60))
    small = asyncio.ensure_future(budget.take(10))
    await asyncio.sleep(0)
    assert not large.done()
    assert not small.done(), "a small one must not overtake, or a large one would starve"
    budget.give_back(80)
    await asyncio.gather(large, small)
    assert budget.used == 70


async def test_an_item_above_the_limit_passes_alone() -> None:
    budget = ByteBudget(100)
    await budget.take(500)
    other = asyncio.ensure_future(budget.take(1))
    await asyncio.sleep(0)
    assert not other.done()
    budget.give_back(500)
    await other


async def test_cancelling_gives_the_place_back() -> None:
    budget = ByteBudget(10)
    await budget.take(10)
    waiting = asyncio.ensure_future(budget.take(5))
    await asyncio.sleep(0)
    budget.give_back(10)  # admits `waiting`, which has not run yet
    waiting.cancel()
    await asyncio.wait([waiting])
    assert budget.used == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 150), max_size=40), st.integers(1, 6))
def test_never_above_the_limit(sizes: list[int], workers: int) -> None:
    async def scenario() -> int:
        budget, todo = ByteBudget(100), list(sizes)

        async def work() -> None:
            while todo:
                size = todo.pop()
                await budget.take(size)
                assert budget.used <= 100 or budget.used == size
                await asyncio.sleep(0)
                budget.give_back(size)

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
        return budget.used

    assert asyncio.run(scenario()) == 0
