"""Callers, against a service that is a function."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from rt_predictor.bench.load import a_second, at_once, streamed


class _Service:
    """Answers after some turns of the event loop; knows how many calls were at it at once."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.now = 0
        self.most = 0

    async def __call__(self, request: int) -> None:
        self.asked.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1


async def test_so_many_calls_are_in_flight_and_each_request_is_made_once() -> None:
    service = _Service()
    rate, latencies = await at_once(service, range(100), 7)
    assert service.most == 7
    assert sorted(service.asked) == list(range(100))
    assert len(latencies) == 100
    assert rate > 0


async def test_an_open_loop_does_not_wait_for_answers() -> None:
    gate = asyncio.Event()

    async def call(request: int) -> None:
        if request == 9:
            gate.set()
        await gate.wait()

    latencies = await a_second(call, range(10), 1e6)
    assert len(latencies) == 10
    assert min(latencies) > 0


async def test_a_stream_must_answer_everything() -> None:
    async def echo(requests: AsyncIterator[int]) -> AsyncIterator[int]:
        async for request in requests:
            if request != 3:
                yield request

    assert await streamed(echo, range(3)) > 0
    with pytest.raises(RuntimeError, match="4 answers to 5 requests"):
        await streamed(echo, range(5))


def _refusal(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


async def test_a_call_that_is_turned_away_is_made_again() -> None:
    left = [grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED]

    async def call(_: int) -> None:
        if left:
            raise _refusal(left.pop())

    assert len(await a_second(call, range(3), rate=1e6)) == 3


async def test_any_other_end_is_an_error() -> None:
    async def call(_: int) -> None:
        raise _refusal(grpc.StatusCode.INTERNAL)

    with pytest.raises(ExceptionGroup):
        await a_second(call, [1], rate=1e6)
