"""Many jobs a message: PredictBatch and PredictArrow."""

from collections import defaultdict
from collections.abc import AsyncIterator
from time import perf_counter

import polars as pl

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.bench.figures import Figures, rounds
from rt_predictor.bench.plan import BenchPlan
from rt_predictor.client.tables import table_request

_BATCH_JOBS, _BATCHES = 10_000, 3
_TABLE_JOBS, _TABLES = 50_000, 4
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


async def measure(plan: BenchPlan, service: str) -> Figures:
    """Predictions a second of batches of 10,000 jobs and of tables of 50,000, one caller each."""
    found: dict[str, list[float]] = defaultdict(list)
    async with plan.access.channel(service, _OPTIONS) as channel:
        stub: pb_grpc.RuntimePredictorAsyncStub = pb_grpc.RuntimePredictorStub(channel)
        for _ in range(plan.rounds):
            found["bulk.batch_per_s"].append(await _batches(plan, stub))
            found["bulk.arrow_per_s"].append(await _tables(plan, stub))
    return {name: rounds(values, "1/s") for name, values in found.items()}


async def _batches(plan: BenchPlan, stub: "pb_grpc.RuntimePredictorAsyncStub") -> float:
    size = plan.count(_BATCH_JOBS)
    batches = [pb.PredictBatchRequest(jobs=plan.source.messages(size)) for _ in range(_BATCHES)]
    started = perf_counter()
    for batch in batches:
        answer = await stub.PredictBatch(batch, metadata=plan.access.metadata())
        _complete(len(answer.predictions) - answer.failed, size)
    return size * len(batches) / (perf_counter() - started)


async def _tables(plan: BenchPlan, stub: "pb_grpc.RuntimePredictorAsyncStub") -> float:
    size = plan.count(_TABLE_JOBS)
    tables = [table_request(jobs, partial=True) for jobs in plan.source.tables(_TABLES, size)]

    async def source() -> AsyncIterator[pb.PredictArrowRequest]:
        for table in tables:
            yield table

    started = perf_counter()
    async for answer in stub.PredictArrow(source(), metadata=plan.access.metadata()):
        _complete(len(pl.read_ipc_stream(answer.predictions)) - answer.failed, size)
    return size * len(tables) / (perf_counter() - started)


def _complete(answered: int, asked: int) -> None:
    if answered != asked:
        raise RuntimeError(f"{answered} answers to {asked} jobs: the figures would mean nothing")
