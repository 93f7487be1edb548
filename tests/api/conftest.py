"""A servicer without a network, and the context of a call to it."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import grpc
import pytest
from google.protobuf.message import Message
from prometheus_client import CollectorRegistry

from rt_predictor.api.admission import Admission
from rt_predictor.api.servicer import Limits, RuntimePredictorServicer
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.history.history import History
from rt_predictor.observability.health import HealthReport
from rt_predictor.observability.metrics import Metrics
from rt_predictor.predict import batcher
from rt_predictor.predict.batcher import Batcher
from rt_predictor.predict.dispatch import Dispatcher, WorkPool
from rt_predictor.predict.port import PredictorPort
from tests.security.files import Place


class FakeContext:
    """The context of a stream of jobs: what the client sent, and what it was sent."""

    def __init__(self, requests: Iterable[Message] = (), *, remaining_s: float | None = None):
        self._requests = iter(requests)
        self._remaining_s = remaining_s
        self.reads = 0
        self.written: list[pb.PredictResponse] = []

    async def read(self) -> object:
        self.reads += 1
        return next(self._requests, grpc.aio.EOF)

    async def write(self, answer: bytes) -> None:
        self.written.append(pb.PredictResponse.FromString(answer))

    def time_remaining(self) -> float | None:
        return self._remaining_s


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with a CA."""
    return Place(tmp_path)


@pytest.fixture
def context() -> type[FakeContext]:
    return FakeContext


@pytest.fixture
def servicer() -> Iterator[Callable[..., RuntimePredictorServicer]]:
    """Makes servicers over a predictor."""
    pool = WorkPool(1)

    async def no_reload() -> NoReturn:
        raise AssertionError("nobody asked for another model")

    def make(predictor: PredictorPort, *, chunk_jobs: int = 512) -> RuntimePredictorServicer:
        metrics = Metrics(CollectorRegistry())
        dispatcher = Dispatcher(predictor, pool, metrics)
        return RuntimePredictorServicer(
            predictor,
            Batcher(dispatcher, max_waiting_jobs=10_000),
            History.off(),
            served=lambda: dispatcher.predicted,
            pool=pool,
            admission=Admission(10),
            report=HealthReport({}),
            metrics=metrics,
            limits=Limits(1000, chunk_jobs),
            reload=no_reload,
        )

    yield make
    pool.close()


@pytest.fixture
def always_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one job goes to a thread, so that a model that waits does not stop the event loop."""
    monkeypatch.setattr(batcher, "FEW_JOBS", 0)
