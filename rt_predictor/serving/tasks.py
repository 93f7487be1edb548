"""Coroutines side by side, none of which is left behind."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import TypeVar

_T = TypeVar("_T")


async def until(end: asyncio.Task[bool], work: Coroutine[None, None, None]) -> None:
    """Works until the end comes. Raises what the work raises before."""
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((end, working), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (end, working):
            task.cancel()
        await asyncio.gather(end, working, return_exceptions=True)


async def together(works: Iterable[Coroutine[None, None, _T]]) -> list[_T]:
    """Works on all at once; when one fails, ends the others and raises its error."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
