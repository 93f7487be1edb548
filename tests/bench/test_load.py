"""Load in an open loop: what is turned away is made again, and counts against what is measured."""

import grpc
import pytest

from rt_predictor.bench.load import a_second


def refusal(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


async def test_a_call_that_is_turned_away_is_made_again() -> None:
    left = [grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED]

    async def call(_: int) -> None:
        if left:
            raise refusal(left.pop())

    assert len(await a_second(call, range(3), rate=1e6)) == 3


async def test_any_other_end_is_an_error() -> None:
    async def call(_: int) -> None:
        raise refusal(grpc.StatusCode.INTERNAL)

    with pytest.raises(ExceptionGroup):
        await a_second(call, [1], rate=1e6)
