import asyncio
import threading
from collections.abc import Iterator

import pytest

from pipeline.engine.flow.concurrently import concurrently


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_everything_is_done_once_so_many_at_a_time() -> None:
    at_once = most = 0

    async def work(number: int) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return number

    assert sorted(concurrently(range(1000), work, 7)) == list(range(1000))
    assert most == 7


def test_items_are_drawn_as_they_are_needed() -> None:
    drawn = 0

    def endless() -> Iterator[int]:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    results = concurrently(endless(), double, 4)
    assert next(results) == 2
    results.close()  # type: ignore[attr-defined]
    assert drawn < 10_000
    assert not [thread for thread in threading.enumerate() if thread.name == "concurrently"]


def test_who_leaves_does_not_wait_for_a_listing_that_hangs() -> None:
    released = threading.Event()

    def hanging() -> Iterator[int]:
        yield from range(300)
        released.wait(60)

    results = concurrently(hanging(), double, 4)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert not released.is_set()
    released.set()


def test_no_items_no_results() -> None:
    assert list(concurrently([], double, 3)) == []


@pytest.mark.parametrize("where", ["items", "work"])
def test_an_error_ends_it_all(where: str) -> None:
    def items() -> Iterator[int]:
        yield from range(1000)
        if where == "items":
            raise KeyError("items")

    async def work(number: int) -> int:
        if where == "work" and number == 500:
            raise KeyError("work")
        return await double(number)

    with pytest.raises(KeyError, match=where):
        list(concurrently(items(), work, 5))


async def test_inside_an_event_loop_such_as_a_notebooks() -> None:
    assert sorted(concurrently(range(10), double, 3)) == list(range(0, 20, 2))
