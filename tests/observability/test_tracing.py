"""Spans of calls, over a real channel: what they tell, how they hang together, what they omit."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc
import pytest
from loguru import logger
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.history.history import History
from rt_predictor.observability import tracing
from rt_predictor.observability.spans import tracer_of
from rt_predictor.observability.tracing import MAX_LINKS, MAX_STEPS, OTelTracer, WatchedExporter
from rt_predictor.settings import HistorySettings, TracingSettings
from tests.api.harness import Running, job, running
from tests.predict.fakes import POISON, FakePredictor, GatedPredictor
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_CALL = "rt_predictor.v1.RuntimePredictor/"


class Traced:
    """A tracer and what it has sent."""

    def __init__(self, **settings: object) -> None:
        self._exporter = InMemorySpanExporter()
        options = TracingSettings.model_validate({"sample_ratio": 1.0, **settings})
        self.tracer = OTelTracer(options, self._exporter, worker=3)

    def spans(self) -> list[ReadableSpan]:
        """All spans that ended, in the order in which they did."""
        self.tracer.flush()
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.name == name]

    def only(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.tracer.close()


async def _refused(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def _is_within(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert child.parent is not None
    return (
        child.parent.span_id == parent.context.span_id
        and child.context.trace_id == parent.context.trace_id
        and parent.start_time <= child.start_time <= child.end_time <= parent.end_time
    )


async def test_a_call_waits_then_runs_within_its_span(traced: Traced) -> None:
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        await service.stub.Predict(job())
    call, queue, run = (traced.only(name) for name in (f"{_CALL}Predict", "queue", "predict"))
    assert len(traced.spans()) == 3
    assert call.kind is SpanKind.SERVER
    assert call.parent is None
    assert dict(call.attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": f"{_CALL}Predict",
        "rpc.response.status_code": "OK",
    }
    assert call.status.status_code is StatusCode.UNSET
    assert _is_within(queue, call)
    assert _is_within(run, call)
    assert queue.end_time == run.start_time
    assert dict(run.attributes) == {"rt_predictor.jobs": 1, "rt_predictor.calls": 1}
    assert run.links == ()


async def test_a_service_says_which_one_it_is(traced: Traced) -> None:
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        await service.stub.Predict(job())
    resource = traced.only("predict").resource.attributes
    assert resource["service.name"] == "rt-predictor"
    assert resource["rt_predictor.worker"] == 3
    assert resource["service.instance.id"]


async def test_the_callers_trace_goes_on(traced: Traced) -> None:
    metadata = (("traceparent", f"00-{TRACE_ID}-{CALLER}-01"), ("tracestate", "a=b"))
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        await service.stub.Predict(job(), metadata=metadata)
    call = traced.only(f"{_CALL}Predict")
    assert f"{call.context.trace_id:032x}" == TRACE_ID
    assert call.parent is not None
    assert f"{call.parent.span_id:016x}" == CALLER
    assert call.context.trace_state["a"] == "b"


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_a_caller_that_decides_is_followed_whatever_the_ratio(ratio: float) -> None:
    traced = Traced(sample_ratio=ratio)
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        for flags in ("00", "01"):
            await service.stub.Predict(
                job(), metadata=(("traceparent", f"00-{TRACE_ID}-{CALLER}-{flags}"),)
            )
    assert len(traced.named(f"{_CALL}Predict")) == 1
    traced.tracer.close()


@pytest.mark.parametrize("sent", ["", "00-zz", "x" * 5000, f"00-{'0' * 32}-{CALLER}-01"])
async def test_a_traceparent_that_is_none_begins_a_new_trace(traced: Traced, sent: str) -> None:
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        await service.stub.Predict(job(), metadata=(("traceparent", sent),))
    assert traced.only(f"{_CALL}Predict").parent is None


async def test_calls_that_are_scored_together_say_so_and_name_one_another(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rt_predictor.predict.batcher.FEW_JOBS", 0)
    predictor, count = GatedPredictor(), 15
    async with running(predictor, tracer=traced.tracer) as service:
        predictor.entered.clear()
        predictor.gate.clear()
        first = asyncio.ensure_future(_predict(service, 0))
        await asyncio.to_thread(predictor.entered.wait, PATIENCE_S)
        others = [asyncio.ensure_future(_predict(service, n)) for n in range(1, count)]
        await in_progress(service, count)
        predictor.gate.set()
        await asyncio.gather(first, *others)
    runs = traced.named("predict")
    assert len(runs) == count
    alone, *together = sorted(runs, key=lambda run: run.start_time)
    assert alone.attributes["rt_predictor.calls"] == 1
    calls = {call.context.span_id for call in traced.named(f"{_CALL}Predict")}
    for run in together:
        assert run.attributes["rt_predictor.calls"] == count - 1
        assert run.attributes["rt_predictor.jobs"] == count - 1
        linked = {link.context.span_id for link in run.links}
        assert len(linked) == MAX_LINKS
        assert linked < calls
        assert run.parent.span_id not in linked


async def in_progress(service: Running, calls: int) -> None:
    """Waits until so many are."""
    async with asyncio.timeout(PATIENCE_S):
        while service.metric("active_connections") != calls:
            await asyncio.sleep(0.001)


async def _predict(service, number: int) -> None:
    await service.stub.Predict(job(time_req=60.0 + number))


async def test_a_clients_mistake_is_no_error_of_ours_and_a_fault_is(traced: Traced) -> None:
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        await _refused(service.stub.Predict(job(nodes_req=0)))
        await _refused(service.stub.Predict(job(job_name=POISON)))
    invalid, failed = traced.named(f"{_CALL}Predict")
    assert invalid.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert invalid.status.status_code is StatusCode.UNSET
    assert failed.attributes["rpc.response.status_code"] == "INTERNAL"
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["error.type"] == "INTERNAL"


async def test_jobs_that_the_model_never_saw_have_waited_in_vain(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rt_predictor.predict.batcher.FEW_JOBS", 0)
    predictor = GatedPredictor()
    async with running(predictor, tracer=traced.tracer) as service:
        predictor.entered.clear()
        predictor.gate.clear()
        first = asyncio.ensure_future(_predict(service, 0))
        await asyncio.to_thread(predictor.entered.wait, PATIENCE_S)
        # Long enough to come to the queue; gRPC would round up what is not less than a second,
        # and the client would be gone before the service knows why.
        late = service.stub.Predict(job(), timeout=0.9)
        assert (await _refused(late)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        predictor.gate.set()
        await first
        await in_progress(service, 0)
    (call,) = (
        span
        for span in traced.named(f"{_CALL}Predict")
        if span.attributes["rpc.response.status_code"] == "DEADLINE_EXCEEDED"
    )
    (queue,) = (span for span in traced.named("queue") if span.parent == call.context)
    assert queue.status.status_code is StatusCode.ERROR
    assert [run for run in traced.named("predict") if run.parent == call.context] == []


async def test_a_run_that_outlives_its_call_leaves_no_span_behind_it(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rt_predictor.predict.batcher.FEW_JOBS", 0)
    predictor = GatedPredictor()
    async with running(predictor, tracer=traced.tracer) as service:
        predictor.entered.clear()
        predictor.gate.clear()
        left = service.stub.Predict(job())
        await asyncio.to_thread(predictor.entered.wait, PATIENCE_S)
        left.cancel()
        await in_progress(service, 0)
        predictor.gate.set()
        await service.stub.Predict(job())
    cancelled = traced.named(f"{_CALL}Predict")[0]
    assert cancelled.attributes["rpc.response.status_code"] == "CANCELLED"
    assert all(
        _is_within(run, traced.named(f"{_CALL}Predict")[1]) for run in traced.named("predict")
    )


async def test_a_large_batch_is_one_step(traced: Traced) -> None:
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        jobs = [job(time_req=60.0 + n) for n in range(200)]
        await service.stub.PredictBatch(pb.PredictBatchRequest(jobs=jobs))
    run = traced.only("predict")
    assert run.attributes["rt_predictor.jobs"] == 200
    assert _is_within(run, traced.only(f"{_CALL}PredictBatch"))


async def _record(service) -> pb.RecordOutcomesResponse:
    call = service.stub.RecordOutcomes()
    outcome = pb.JobOutcome(job=job(), job_id="1", end_time=1.7e9 + 100, runtime=50.0)
    await call.write(pb.RecordOutcomesRequest(outcomes=[outcome]))
    await call.done_writing()
    return await call


async def test_outcomes_show_the_commit_to_disk(traced: Traced, tmp_path: Path) -> None:
    history = History(HistorySettings(path=tmp_path / "history.sqlite"))
    async with running(FakePredictor(), history, traced.tracer) as service:
        assert (await _record(service)).recorded == 1
    commit = traced.only("commit")
    assert commit.attributes["rt_predictor.jobs"] == 1
    assert _is_within(commit, traced.only(f"{_CALL}RecordOutcomes"))


async def test_a_step_that_fails_says_of_what_type(traced: Traced, tmp_path: Path) -> None:
    history = History(HistorySettings(path=tmp_path / "history.sqlite"))
    async with running(FakePredictor(), history, traced.tracer) as service:
        history.record = _broken  # type: ignore[method-assign]
        await _refused(_record(service))
    commit = traced.only("commit")
    assert commit.attributes["error.type"] == "ValueError"
    assert commit.events == ()


def _broken(events: object) -> object:
    raise ValueError("alice")


async def test_a_long_stream_has_a_bounded_number_of_spans(traced: Traced) -> None:
    chunks = MAX_STEPS + 20
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        stream = service.stub.PredictStream()
        for _ in range(chunks):
            await stream.write(job())
            await stream.read()
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
    assert len(traced.named("predict")) == MAX_STEPS
    assert traced.only(f"{_CALL}PredictStream").attributes["rt_predictor.steps_left_out"] == 20


async def test_health_checks_are_not_traced(traced: Traced) -> None:
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        await service.stub.HealthCheck(pb.HealthCheckRequest())
        await service.stub.GetModelInfo(pb.GetModelInfoRequest())
    assert [span.name for span in traced.spans()] == [f"{_CALL}GetModelInfo"]


async def test_spans_hold_nothing_that_a_client_sent(traced: Traced) -> None:
    names = ("user", "account", "job_name", "partition", "qos", "request_id")
    sent = {name: f"marker {name}" for name in names}
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        await service.stub.Predict(job(**sent), metadata=(("x-request-id", "marker"),))
        await _refused(service.stub.Predict(job(**{**sent, "user": "marker" * 99})))
        await _refused(service.stub.Predict(job(**{**sent, "job_name": POISON})))
    assert len(traced.spans()) >= 7
    assert "marker" not in "".join(span.to_json() for span in traced.spans())


async def test_a_line_of_the_log_names_the_trace(traced: Traced) -> None:
    lines: list[dict[str, object]] = []
    sink = logger.add(lambda line: lines.append(line.record["extra"]), level="ERROR")
    async with running(FakePredictor(), tracer=traced.tracer) as service:
        await _refused(service.stub.Predict(job(job_name=POISON)))
    logger.remove(sink)
    trace_id = traced.only(f"{_CALL}Predict").context.trace_id
    assert [line["trace_id"] for line in lines] == [f"{trace_id:032x}"]


class _Down(SpanExporter):
    """A receiver that is away, or holds on to what it is sent until it is shut down."""

    def __init__(self) -> None:
        self.fails: Callable[[], SpanExportResult] = self._fail
        self.sent = 0
        self.closed = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.sent += len(spans)
        return self.fails()

    def shutdown(self) -> None:
        assert not self.closed.is_set()
        self.closed.set()

    def hang(self) -> SpanExportResult:
        assert self.closed.wait(PATIENCE_S)
        return SpanExportResult.FAILURE

    def _fail(self) -> SpanExportResult:
        raise OSError("down")


async def test_a_receiver_that_is_away_is_said_once_and_harms_no_call() -> None:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.record["message"]), level="INFO")
    down = _Down()
    tracer = OTelTracer(TracingSettings(sample_ratio=1.0), WatchedExporter(down, "http://x"))
    async with running(FakePredictor(), tracer=tracer) as service:
        for _ in range(3):
            await service.stub.Predict(job())
            tracer.flush()
        down.fails = lambda: SpanExportResult.SUCCESS
        await service.stub.Predict(job())
        tracer.flush()
    tracer.close()
    logger.remove(sink)
    said = [line for line in lines if "traces" in line]
    assert said == ["traces are not delivered", "traces are delivered again"]
    assert down.sent == 12


async def test_spans_that_cannot_leave_are_dropped_and_a_stop_does_not_wait_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing, "CLOSE_S", 0.05)
    monkeypatch.setattr(tracing, "_SEND_EVERY_MS", 1)
    down = _Down()
    down.fails = down.hang
    settings = TracingSettings(sample_ratio=1.0, max_queue_spans=4)
    tracer = OTelTracer(settings, WatchedExporter(down, "http://x"))
    async with running(FakePredictor(), tracer=tracer) as service:
        for _ in range(50):
            await service.stub.Predict(job())
    await asyncio.to_thread(tracer.close)
    assert down.closed.is_set()
    assert down.sent <= 8


def test_nothing_is_traced_unless_it_is_asked_for() -> None:
    assert tracer_of(TracingSettings()) is None


_SERVES = """
import asyncio, sys
from tests.predict.fakes import FakePredictor
from tests.api.harness import job, running

async def main():
    async with running(FakePredictor()) as service:
        await service.stub.Predict(job())

asyncio.run(main())
found = [name for name in sys.modules if name.split(".")[0] == "opentelemetry"]
assert found == [], found
"""

_WITHOUT = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
from rt_predictor.processes.run import run
from rt_predictor.settings import Settings
from tests.predict.fakes import fake_predictor

if __name__ == "__main__":
    server = {"server.port": 0, "server.metrics_port": 0, "server.max_workers": int(sys.argv[1])}
    settings = Settings().with_overrides({**server, "tracing.enabled": True})
    sys.exit(run(settings, fake_predictor))
"""


def test_a_service_that_traces_nothing_does_not_load_opentelemetry() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", _SERVES], check=True, timeout=PATIENCE_S)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_tracing_without_the_extra_cannot_start_and_says_how_to_mend_it(
    tmp_path: Path, workers: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(_WITHOUT)
    project = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, str(program), workers],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=tmp_path,
        env={"PYTHONPATH": project, "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "pip install 'rt-predictor[tracing]'" in line
