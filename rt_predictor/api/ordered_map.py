"""Work on items of a stream, several at a time, with results in the order of the items."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


@asynccontextmanager
async def ordered_map(
    items: AsyncIterator[_T], work: Callable[[_T], Coroutine[Any, Any, _R]], *, at_once: int
) -> AsyncIterator[AsyncIterator[_R]]:
    """Results of `work` for each item, as soon as they and all before them are there.

    At most `at_once` items are worked on at a time; one more is read meanwhile, and nothing further
    while nobody takes the results. What reading or working raises is raised in its place, after the
    results of all items before. What is unfinished when the context ends is cancelled.
    """
    room = asyncio.Semaphore(at_once)
    begun: asyncio.Queue[asyncio.Task[_R] | None] = asyncio.Queue()
    tasks: set[asyncio.Task[_R]] = set()

    async def begin() -> None:
        try:
            async for item in items:
                await room.acquire()
                task = asyncio.create_task(work(item))
                tasks.add(task)
                begun.put_nowait(task)
        finally:
            begun.put_nowait(None)

    async def results() -> AsyncIterator[_R]:
        while (task := await begun.get()) is not None:
            result = await task
            tasks.discard(task)
            room.release()
            yield result
        await beginning

    beginning = asyncio.create_task(begin())
    try:
        yield results()
    finally:
        left = (beginning, *tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
