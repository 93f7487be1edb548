"""Calls an MLServer; run by a Python that has `mlserver`, and knows nothing of this project.

    python mlserver_load.py HOST:PORT MODEL ROWS.npy CALLS IN_FLIGHT ROUNDS

Prints one JSON document: figures, a value for each round.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import numpy as np
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc import dataplane_pb2_grpc as pb_grpc

_READY_S = 60.0


def _request(model: str, rows: Any) -> Any:
    tensor = pb.ModelInferRequest.InferInputTensor(
        name="jobs", datatype="FP32", shape=list(rows.shape)
    )
    return pb.ModelInferRequest(
        model_name=model, inputs=[tensor], raw_input_contents=[rows.astype("<f4").tobytes()]
    )


async def _ready(stub: Any, model: str) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            answer = await stub.ModelReady(pb.ModelReadyRequest(name=model))
            if answer.ready:
                return
        except grpc.aio.AioRpcError:
            pass
        if time.monotonic() > deadline:
            sys.exit("MLServer did not become ready")
        await asyncio.sleep(0.1)


async def _at_once(
    call: Callable[[Any], Awaitable[Any]], requests: Sequence[Any], in_flight: int
) -> tuple[float, list[float]]:
    left = iter(requests)
    latencies: list[float] = []

    async def caller() -> None:
        for request in left:
            started = time.perf_counter()
            await call(request)
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return len(requests) / (time.perf_counter() - started), latencies


async def _main(
    target: str, model: str, rows: Any, *, calls: int, in_flight: int, rounds: int
) -> None:
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    found: dict[str, list[float]] = {
        "alone_p50_ms": [],
        "alone_p99_ms": [],
        "many_per_s": [],
        "batch_per_s": [],
    }
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        await _ready(stub, model)
        singles = [_request(model, rows[row : row + 1]) for row in range(min(calls, len(rows)))]
        await _at_once(stub.ModelInfer, singles[:20], 1)
        for _ in range(rounds):
            _, one_by_one = await _at_once(stub.ModelInfer, singles, 1)
            found["alone_p50_ms"].append(float(np.quantile(one_by_one, 0.5)) * 1e3)
            found["alone_p99_ms"].append(float(np.quantile(one_by_one, 0.99)) * 1e3)
            many, _ = await _at_once(stub.ModelInfer, singles, in_flight)
            found["many_per_s"].append(many)
            batch = _request(model, rows)
            started = time.perf_counter()
            await stub.ModelInfer(batch)
            found["batch_per_s"].append(len(rows) / (time.perf_counter() - started))
    print(json.dumps(found))


if __name__ == "__main__":
    where, name, file, *counts = sys.argv[1:]
    most, together, times = map(int, counts)
    asyncio.run(_main(where, name, np.load(file), calls=most, in_flight=together, rounds=times))
