"""Channels: bounded, in order, closable by the last sender, safe to cancel."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.flow.channel import Channel


async def test_ends_when_the_last_sender_leaves_and_it_is_empty() -> None:
    channel: Channel[int] = Channel("test", capacity=4, senders=2)
    with channel.sending():
        with channel.sending():
            await channel.put(1)
        await channel.put(2)
    assert [await channel.get() for _ in range(4)] == [1, 2, None, None]


async def test_put_waits_while_full() -> None:
    channel: Channel[int] = Channel("test", capacity=1, senders=1)
    await channel.put(1)
    second = asyncio.ensure_future(channel.put(2))
    await asyncio.sleep(0)
    assert not second.done()
    assert len(channel) == 1
    assert await channel.get() == 1
    await second
    assert await channel.get() == 2


async def test_closing_wakes_all_who_wait() -> None:
    channel: Channel[int] = Channel("test", capacity=1, senders=1)
    waiting = [asyncio.ensure_future(channel.get()) for _ in range(3)]
    await asyncio.sleep(0)
    with channel.sending():
        pass
    assert await asyncio.gather(*waiting) == [None] * 3


async def test_a_cancelled_receiver_passes_its_wake_up_on() -> None:
    channel: Channel[int] = Channel("test", capacity=4, senders=1)
    first, second = (asyncio.ensure_future(channel.get()) for _ in range(2))
    await asyncio.sleep(0)
    await channel.put(7)  # wakes `first`
    first.cancel()
    assert await asyncio.wait_for(second, 1) == 7


@pytest.mark.parametrize("woken", [False, True], ids=["while it waits", "with room just made for it"])
async def test_what_a_cancelled_sender_had_to_send_is_kept(woken: bool) -> None:
    channel: Channel[int] = Channel("test", capacity=1, senders=2)
    await channel.put(0)
    first, second = (asyncio.ensure_future(channel.put(n)) for n in (1, 2))
    await asyncio.sleep(0)
    received = [await channel.get()] if woken else []
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    while len(received) < 3:
        received.append(await asyncio.wait_for(channel.get(), 1))
    assert received == [0, 1, 2]
    await second


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(0, 6), st.integers(0, 60))
def test_everything_sent_arrives_once(capacity: int, senders: int, receivers: int, at_once: int, count: int) -> None:
    async def scenario() -> list[tuple[int, int]]:
        channel: Channel[tuple[int, int]] = Channel("test", capacity, senders)
        received: list[tuple[int, int]] = []

        async def send(number: int) -> None:
            with channel.sending():
                for index in range(count):
                    await channel.put((number, index))
                    assert len(channel) <= capacity

        async def receive() -> None:
            while (item := await channel.get()) is not None:
                received.append(item)
                for _ in range(at_once):
                    if (item := channel.get_nowait()) is not None:
                        received.append(item)

        async with asyncio.TaskGroup() as group:
            for number in range(senders):
                group.create_task(send(number))
            for _ in range(receivers):
                group.create_task(receive())
        return received

    received = asyncio.run(scenario())
    assert sorted(received) == [(s, i) for s in range(senders) for i in range(count)]
