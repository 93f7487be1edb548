"""A bare grpc.aio server that takes and gives the same messages, and does nothing: the floor.

    python -m rt_predictor.bench.echo

prints its port, and serves until its standard input ends.
"""

import asyncio
import sys
from typing import Any

import grpc

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.processes.event_loop import new_event_loop

SERVICE = "rt_predictor.bench.Echo"
_ANSWER = pb.PredictResponse(
    predicted_runtime=1234.5,
    confidence_lower=12.5,
    confidence_upper=2345.5,
    confidence_level=0.9,
    timeout_probability=0.25,
    model_predictions={"xgboost": 1200.5, "lightgbm": 1300.5, "catboost": 1100.5},
    model_version="2000.01.01-00000000",
    flags=[pb.PREDICTION_FLAG_COLD_START_USER],
)


async def _unary(request: pb.PredictRequest, context: object) -> pb.PredictResponse:
    del request, context
    return _ANSWER


async def _stream(request_iterator: object, context: Any) -> None:
    del request_iterator
    while await context.read() is not grpc.aio.EOF:
        await context.write(_ANSWER)


async def main() -> None:
    """Serve until standard input ends."""
    server = grpc.aio.server()
    coding: dict[str, Any] = {
        "request_deserializer": pb.PredictRequest.FromString,
        "response_serializer": pb.PredictResponse.SerializeToString,
    }
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                SERVICE,
                {
                    "Unary": grpc.unary_unary_rpc_method_handler(_unary, **coding),
                    "Stream": grpc.stream_stream_rpc_method_handler(_stream, **coding),
                },
            ),
        )
    )
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(None)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
