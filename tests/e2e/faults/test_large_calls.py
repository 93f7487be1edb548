"""Many large calls at once: as many are answered as there is room for, the rest refused at once."""

import asyncio
from collections import Counter
from pathlib import Path

import grpc
import pytest

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.client.tables import table_request
from rt_predictor.traces.generate import generate_jobs
from tests.e2e.conftest import running
from tests.e2e.faults.test_overload import rejected, request
from tests.e2e.observed import resident_mb, server_of
from tests.waiting import PATIENCE_S

CLIENTS = 16
JOBS = 2000
ROOM_MB = 1
_PREFIX = "/rt_predictor.v1.RuntimePredictor/"
_ANY_SIZE = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


def long_request(number: int) -> pb.PredictRequest:
    """A job of which a few make a large message."""
    asked = request(number)
    asked.job_name = "n" * 250
    return asked


def batch(jobs: int) -> bytes:
    return pb.PredictBatchRequest(jobs=map(long_request, range(jobs))).SerializeToString()


def outcomes(jobs: int) -> bytes:
    """Outcomes of a message; the same ones each time, which are recorded once."""
    message = pb.RecordOutcomesRequest()
    for number in range(jobs):
        asked = long_request(number)
        asked.submit_time = 1e9
        message.outcomes.add(job=asked, job_id=str(number), runtime=60, end_time=1e9 + 100)
    return message.SerializeToString()


async def call(target: str, method: str, message: bytes) -> str:
    """How one call of one client ends; each has a connection of its own."""
    options = (*_ANY_SIZE, ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        # On the wire, a call with one message is the same whether it is a stream or not.
        ask = channel.unary_unary(_PREFIX + method)
        try:
            await ask(message, timeout=PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


async def at_once(target: str, method: str, message: bytes, clients: int) -> Counter[str]:
    return Counter(await asyncio.gather(*(call(target, method, message) for _ in range(clients))))


MAKE = {"PredictBatch": batch, "RecordOutcomes": outcomes}


@pytest.mark.parametrize("method", MAKE)
def test_large_calls_beyond_the_room_are_refused_at_once(bundle: Path, method: str) -> None:
    message, small = MAKE[method](JOBS), MAKE[method](20)
    assert len(small) < 64 << 10 < len(message) < ROOM_MB << 20
    with running(bundle, RT_PREDICTOR_SERVER__MAX_LARGE_MB=str(ROOM_MB)) as service:
        target = service.target
        assert asyncio.run(call(target, method, message)) == "OK"
        before_mb = resident_mb(server_of(service))

        async def load() -> tuple[Counter[str], Counter[str]]:
            """Large calls, and small ones meanwhile."""
            large = asyncio.create_task(at_once(target, method, message, CLIENTS))
            few = await at_once(target, method, small, 4)
            return await large, few

        ended, few = asyncio.run(load())
        assert ended["OK"] + ended["RESOURCE_EXHAUSTED"] == CLIENTS, ended
        assert ended["OK"] >= 1
        assert ended["RESOURCE_EXHAUSTED"] >= CLIENTS / 2
        assert few == {"OK": 4}
        assert rejected(service, "overloaded") == ended["RESOURCE_EXHAUSTED"]
        assert resident_mb(server_of(service)) - before_mb < 150
        # What was answered or refused takes no room.
        assert asyncio.run(call(target, method, message)) == "OK"


TABLES = 6


@pytest.mark.parametrize("method", ["PredictArrow", "RecordOutcomes"])
def test_a_stream_larger_than_the_room_is_read_on_as_it_is_answered(
    bundle: Path, method: str
) -> None:
    table = table_request(generate_jobs(20_000, 1), partial=True)
    messages = {
        "PredictArrow": [table.SerializeToString()] * TABLES,
        "RecordOutcomes": [outcomes(JOBS)] * TABLES,
    }[method]
    assert sum(map(len, messages)) > ROOM_MB << 20

    async def stream(target: str) -> int:
        """Send all at once; how many answers come back."""
        async with grpc.aio.insecure_channel(target, options=_ANY_SIZE) as channel:
            call = channel.stream_stream(_PREFIX + method)(iter(messages), timeout=PATIENCE_S)
            return len([answer async for answer in call])

    with running(bundle, RT_PREDICTOR_SERVER__MAX_LARGE_MB=str(ROOM_MB)) as service:
        answers = asyncio.run(stream(service.target))
        assert answers == (TABLES if method == "PredictArrow" else 1)
        assert rejected(service, "overloaded") == 0
