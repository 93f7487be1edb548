"""A server in this process, with a real channel to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from prometheus_client import CollectorRegistry

from rt_predictor.api.server import Server
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.client import Access
from rt_predictor.client.access import PLAIN
from rt_predictor.history.history import History
from rt_predictor.observability.metrics import Metrics
from rt_predictor.observability.spans import Tracer
from rt_predictor.predict.port import PredictorPort
from rt_predictor.processes.announce import page_check
from rt_predictor.security.security import OPEN, Security
from rt_predictor.settings import ServerSettings

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Running:
    """A server that listens, and a client of it."""

    server: Server
    port: int
    channel: grpc.aio.Channel
    stub: "pb_grpc.RuntimePredictorAsyncStub"
    registry: CollectorRegistry

    def metric(self, name: str, **labels: str) -> float:
        """The value of a series; 0 where it is not there yet."""
        return self.registry.get_sample_value(f"rt_predictor_{name}", labels) or 0.0


@asynccontextmanager
async def running(
    predictor: PredictorPort,
    history: History | None = None,
    tracer: Tracer | None = None,
    security: Security = OPEN,
    access: Access = PLAIN,
    **settings: object,
) -> AsyncIterator[Running]:
    """A server over a predictor, with `[server]` settings, for as long as the context lasts.

    History is off and nothing traced unless they are given.
    """
    options = ServerSettings.model_validate({"host": HOST, **settings})
    registry = CollectorRegistry()
    server = Server(
        options,
        predictor,
        history or History.off(),
        Metrics(registry),
        {"metrics": page_check(None)},
        shares_port=False,
        tracer=tracer,
        security=security,
    )
    port = await server.start(0)
    channel = access.channel(f"{HOST}:{port}", (("grpc.use_local_subchannel_pool", 1),))
    stub: pb_grpc.RuntimePredictorAsyncStub = pb_grpc.RuntimePredictorStub(channel)
    hurry = asyncio.Event()
    hurry.set()
    try:
        yield Running(server, port, channel, stub, registry)
    finally:
        await channel.close()
        await server.stop(hurry)


def job(**fields: object) -> pb.PredictRequest:
    """A valid job, with some fields set otherwise; None leaves a field out."""
    known = {
        "processors_req": 4,
        "nodes_req": 1,
        "mem_req": 1000.0,
        "time_req": 3600.0,
        "partition": "normal",
        "qos": "normal",
        "user": "alice",
        "submit_time": 1.7e9,
        **fields,
    }
    return pb.PredictRequest(**{name: value for name, value in known.items() if value is not None})
