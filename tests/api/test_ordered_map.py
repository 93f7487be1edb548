"""Work on items of a stream that overlaps, and what comes of it in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from rt_predictor.api.ordered_map import ordered_map


class _Work:
    """Work that ends when it is told to, and notes what is in progress."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.gates: dict[int, asyncio.Event] = {}

    async def __call__(self, item: int) -> int:
        self.begun.append(item)
        self.gates[item] = asyncio.Event()
        try:
            await self.gates[item].wait()
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        return item * 10


class _Source:
    """Counts up, and notes how far it was read."""

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.count = count
        self.fails_at = fails_at
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[int]:
        for item in range(self.count):
            if item == self.fails_at:
                raise ValueError(f"item {item} is bad")
            self.read = item + 1
            yield item


async def _settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_results_come_in_the_order_of_the_items_whichever_is_ready_first() -> None:
    work = _Work()
    async with ordered_map(aiter(_Source(2)), work, at_once=2) as results:
        await _settle()
        assert work.begun == [0, 1]
        first = asyncio.ensure_future(anext(results))
        work.gates[1].set()
        await _settle()
        assert not first.done()
        work.gates[0].set()
        assert await first == 0
        assert [result async for result in results] == [10]


async def test_a_result_is_given_before_the_next_item_comes() -> None:
    """Or a client that waits for each answer before it asks again would wait for ever."""
    more = asyncio.Event()

    async def slowly() -> AsyncIterator[int]:
        yield 7
        await more.wait()
        yield 8

    async def work(item: int) -> int:
        return item

    async with ordered_map(slowly(), work, at_once=2) as results:
        assert await anext(results) == 7
        more.set()
        assert [result async for result in results] == [8]


async def test_nothing_is_read_ahead_beyond_the_room() -> None:
    work, source = _Work(), _Source(10)
    async with ordered_map(aiter(source), work, at_once=2) as results:
        await _settle()
        assert (work.begun, source.read) == ([0, 1], 3)
        work.gates[0].set()
        assert await anext(results) == 0
        await _settle()
        assert (work.begun, source.read) == ([0, 1, 2], 4)
    assert sorted(work.cancelled) == [1, 2]


async def test_what_reading_raises_comes_after_the_results_before_it() -> None:
    async def work(item: int) -> int:
        return item

    found: list[int] = []

    async def collect() -> None:
        async with ordered_map(aiter(_Source(5, fails_at=3)), work, at_once=2) as results:
            async for result in results:
                found.append(result)  # noqa: PERF401 - those before the error count

    with pytest.raises(ValueError, match="item 3 is bad"):
        await collect()
    assert found == [0, 1, 2]


async def test_what_working_raises_ends_it_and_cancels_the_rest() -> None:
    work = _Work()

    async def fails(item: int) -> int:
        if item == 0:
            raise ValueError("no")
        return await work(item)

    async def collect() -> None:
        async with ordered_map(aiter(_Source(5)), fails, at_once=2) as results:
            await _settle()
            await anext(results)

    with pytest.raises(ValueError, match="no"):
        await collect()
    assert work.cancelled == work.begun
    assert work.begun[0] == 1
