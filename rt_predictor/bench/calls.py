"""One job a call, beside the bare echo of the same messages."""

from collections import defaultdict
from functools import partial
from typing import Any

import grpc

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.bench import echo
from rt_predictor.bench.figures import Figures, quantile_ms, rounds, unit_of
from rt_predictor.bench.load import Call, Stream, a_second, at_once, streamed
from rt_predictor.bench.plan import BenchPlan

MANY = 64
"""Calls in flight where throughput is measured."""
RATE = 1000
"""Calls a second of the open loop."""
_ONE_BY_ONE_CALLS, _MANY_CALLS, _OPEN_CALLS, _STREAM_JOBS = 1500, 6000, 3000, 10_000


async def measure(plan: BenchPlan, service: str, echo_target: str) -> Figures:
    """Predict and PredictStream of a service, and the same of an echo, turn and turn about."""
    found: dict[str, list[float]] = defaultdict(list)
    metadata = plan.access.metadata()
    async with (
        plan.access.channel(service) as channel,
        grpc.aio.insecure_channel(echo_target) as echo_channel,
    ):
        stub: pb_grpc.RuntimePredictorAsyncStub = pb_grpc.RuntimePredictorStub(channel)
        coding: dict[str, Any] = {
            "request_serializer": pb.PredictRequest.SerializeToString,
            "response_deserializer": pb.PredictResponse.FromString,
        }
        unary: Call = echo_channel.unary_unary(f"/{echo.SERVICE}/Unary", **coding)
        stream: Stream = echo_channel.stream_stream(f"/{echo.SERVICE}/Stream", **coding)
        sides: dict[str, tuple[Call, Stream]] = {
            "echo": (unary, stream),
            "service": (
                partial(stub.Predict, metadata=metadata),
                partial(stub.PredictStream, metadata=metadata),
            ),
        }
        for call, _ in sides.values():
            await at_once(call, plan.source.messages(plan.count(500)), 8)
        for _ in range(plan.rounds):
            for side, (call, streaming) in sides.items():
                for name, value in (await _round(plan, call, streaming)).items():
                    found[f"calls.{side}.{name}"].append(value)
    return {name: rounds(values, unit_of(name)) for name, values in found.items()}


async def _round(plan: BenchPlan, call: Call, stream: Stream) -> dict[str, float]:
    messages = plan.source.messages
    _, one_by_one = await at_once(call, messages(plan.count(_ONE_BY_ONE_CALLS)), 1)
    many, _ = await at_once(call, messages(plan.count(_MANY_CALLS)), MANY)
    opened = await a_second(call, messages(plan.count(_OPEN_CALLS)), RATE)
    return {
        "alone_p50_ms": quantile_ms(one_by_one, 0.5),
        "alone_p99_ms": quantile_ms(one_by_one, 0.99),
        "many_per_s": many,
        "open_p50_ms": quantile_ms(opened, 0.5),
        "open_p99_ms": quantile_ms(opened, 0.99),
        "stream_per_s": await streamed(stream, messages(plan.count(_STREAM_JOBS))),
    }
