"""A real service sends its spans to a real OTLP receiver, and lives without one."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as collector
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as collector_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from rt_predictor.client import Client, Job
from tests.ports import free_port
from tests.waiting import PATIENCE_S

from .conftest import running

JOB = Job(
    processors_req=32, nodes_req=4, mem_req=128_000, time_req=3600, partition="normal",
    qos="normal", user="marker0user", request_id="one",
)  # fmt: skip


class Receiver(collector_grpc.TraceServiceServicer):
    """Takes spans in, as a collector does."""

    def __init__(self) -> None:
        self._batches: list[ResourceSpans] = []
        self._news = threading.Condition()

    def Export(self, request, _context):  # noqa: N802
        with self._news:
            self._batches.extend(request.resource_spans)
            self._news.notify_all()
        return collector.ExportTraceServiceResponse()

    def until(self, name: str, count: int) -> list[tuple[ResourceSpans, Span]]:
        """All spans with their resources, once there are so many of a name."""
        with self._news:
            assert self._news.wait_for(lambda: self._count(name) >= count, PATIENCE_S)
            return self._all()

    def _count(self, name: str) -> int:
        return sum(span.name == name for _, span in self._all())

    def _all(self) -> list[tuple[ResourceSpans, Span]]:
        return [
            (batch, span)
            for batch in self._batches
            for scope in batch.scope_spans
            for span in scope.spans
        ]


@contextmanager
def receiving(port: int = 0) -> Iterator[tuple[Receiver, int]]:
    """A receiver on a port of this machine."""
    receiver = Receiver()
    server = grpc.server(ThreadPoolExecutor(2))
    collector_grpc.add_TraceServiceServicer_to_server(receiver, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield receiver, port
    finally:
        server.stop(None).wait()


def _settings(port: int, export_timeout_s: float) -> dict[str, str]:
    return {
        "RT_PREDICTOR_TRACING__ENABLED": "true",
        "RT_PREDICTOR_TRACING__ENDPOINT": f"http://127.0.0.1:{port}",
        "RT_PREDICTOR_TRACING__SAMPLE_RATIO": "1",
        "RT_PREDICTOR_TRACING__EXPORT_TIMEOUT_S": str(export_timeout_s),
    }


@pytest.mark.parametrize("workers", [1, 2])
async def test_spans_of_calls_arrive_at_a_receiver(bundle: Path, workers: int) -> None:
    call = "rt_predictor.v1.RuntimePredictor"
    with (
        receiving() as (receiver, port),
        running(bundle, "--workers", workers, **_settings(port, PATIENCE_S)) as service,
    ):
        jobs = [replace(JOB, time_req=60.0 * n) for n in range(1, 9)]
        async with Client(service.target, timeout_s=PATIENCE_S) as client:
            await client.predict(JOB)
            assert len([answer async for answer in client.predict_many(jobs)]) == len(jobs)
        found = receiver.until(f"{call}/PredictBatch", 1)  # it ends last
        service.process.terminate()
        assert service.process.wait(PATIENCE_S) == 0
    names = {span.name for _, span in found}
    assert {"queue", "predict", f"{call}/Predict", f"{call}/PredictBatch"} <= names
    own = {attribute.key: attribute.value for attribute in found[0][0].resource.attributes}
    assert own["service.name"].string_value == "rt-predictor"
    by_id = {span.span_id: span for _, span in found}
    for _, span in found:
        if span.name in {"queue", "predict"}:
            parent = by_id[span.parent_span_id]
            assert parent.trace_id == span.trace_id
            assert parent.kind == Span.SPAN_KIND_SERVER
    assert "marker0user" not in "".join(str(span) for _, span in found)


async def test_a_receiver_that_is_away_costs_no_call_and_two_lines(bundle: Path) -> None:
    port = free_port()
    # Within less, a pause of the machine would be taken for a receiver that is away.
    with running(bundle, **_settings(port, export_timeout_s=5.0)) as service:
        async with Client(service.target, timeout_s=PATIENCE_S) as client:
            for _ in range(20):
                await client.predict(JOB)
            lost = service.wait_for("traces are not delivered")
            assert "UNAVAILABLE" in str(lost["reason"])
            with receiving(port) as (receiver, _):
                while not [line for line in service.log if "again" in str(line["message"])]:
                    await client.predict(JOB)
                receiver.until("predict", 1)
                service.process.terminate()
                assert service.process.wait(PATIENCE_S) == 0
    said = [line["message"] for line in service.log]
    assert said.count("traces are not delivered") == 1
    assert said.count("traces are delivered again") == 1
    assert "opentelemetry" not in json.dumps([line.get("logger", "") for line in service.log])
