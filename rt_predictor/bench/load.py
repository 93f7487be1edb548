"""Callers: so many at a time, so many a second, or as a stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any

import grpc

Call = Callable[[Any], Awaitable[Any]]
Stream = Callable[[AsyncIterator[Any]], Any]
"""Gives something to iterate over asynchronously."""

_TURNED_AWAY = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)
_AGAIN_S = 0.01
"""Pause before a call that was turned away is made again."""


async def at_once(call: Call, requests: Sequence[Any], in_flight: int) -> tuple[float, list[float]]:
    """Make all calls, that many at a time; again where one is turned away.

    Returns calls a second, and latencies in s, which include what was turned away.
    """
    left = iter(requests)
    latencies: list[float] = []

    async def caller() -> None:
        for request in left:
            started = perf_counter()
            while not await _is_answered(call, request):
                await asyncio.sleep(_AGAIN_S)
            latencies.append(perf_counter() - started)

    started = perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return len(requests) / (perf_counter() - started), latencies


async def a_second(call: Call, requests: Sequence[Any], rate: float) -> list[float]:
    """Begin that many calls a second, whether or not others have been answered (open loop).

    Returns the latency of each in s, from when it was due: that the caller was late (timers here
    have steps of 1 ms) counts against what is measured, and so do attempts that were turned away.
    """
    latencies: list[float] = []

    async def one(request: Any, due: float) -> None:
        while not await _is_answered(call, request):
            await asyncio.sleep(_AGAIN_S)
        latencies.append(perf_counter() - due)

    started = perf_counter()
    async with asyncio.TaskGroup() as calls:
        for number, request in enumerate(requests):
            due = started + number / rate
            if (wait := due - perf_counter()) > 0:
                await asyncio.sleep(wait)
            calls.create_task(one(request, due))
    return latencies


async def _is_answered(call: Call, request: Any) -> bool:
    """Return whether a call is not turned away for want of room, as gRPC or the service does."""
    try:
        await call(request)
    except grpc.aio.AioRpcError as error:
        if error.code() not in _TURNED_AWAY:
            raise
        return False
    return True


async def streamed(stream: Stream, requests: Sequence[Any]) -> float:
    """Send all on one stream as fast as it takes them. Returns answers a second."""

    async def source() -> AsyncIterator[Any]:
        for request in requests:
            yield request

    started = perf_counter()
    answers = 0
    async for _ in stream(source()):
        answers += 1
    seconds = perf_counter() - started
    if answers != len(requests):
        raise RuntimeError(f"{answers} answers to {len(requests)} requests")
    return answers / seconds
