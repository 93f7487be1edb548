"""The event loop of a program: made, run to its end, and work side by side in it."""

import asyncio
import sys
from collections.abc import Coroutine, Iterable
from typing import TypeVar

from loguru import logger

from rt_predictor.errors import RTPredictorError, outcome_of, traceback_text
from rt_predictor.observability.logging import log_loop_error

_T = TypeVar("_T")


def exit_code_of(main: Coroutine[None, None, int]) -> int:
    """Runs a program to its end on the fastest event loop there is; errors become a log line."""
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.get_loop().set_exception_handler(log_loop_error)
            return runner.run(main)
    except RTPredictorError as error:
        logger.error(str(error))
        return outcome_of(error).exit_code
    except Exception as error:
        logger.error("unforeseen error", traceback=traceback_text(error))
        return outcome_of(error).exit_code


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's; asyncio's own on Windows, for which there is no uvloop."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


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
