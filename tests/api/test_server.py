"""A server's life in this process: start up, serve, drain, stop."""

import asyncio
import gc
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import grpc
import pytest
from loguru import logger

from rt_predictor.api import server as server_module
from rt_predictor.api.server import Server
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.errors import BundleError, PortInUseError, StartupError
from rt_predictor.history.history import History, HistoryState
from rt_predictor.observability.health import State
from rt_predictor.observability.metrics import Metrics
from rt_predictor.observability.page import open_metrics_page
from rt_predictor.predict.port import PredictorPort
from rt_predictor.processes.announce import page_check
from rt_predictor.processes.single_process import serve
from rt_predictor.settings import HistorySettings, ServerSettings, Settings
from tests.api.harness import HOST, job, running
from tests.ports import free_port
from tests.predict.fakes import FakePredictor, fake_predictor
from tests.waiting import PATIENCE_S


class Log:
    """Lines of the log: message and fields."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []
        self._news = asyncio.Event()

    def add(self, message) -> None:
        record = message.record
        self.lines.append((record["message"], record["extra"]))
        self._news.set()

    @property
    def messages(self) -> list[str]:
        return [message for message, _ in self.lines]

    async def until(self, wanted: str) -> dict[str, object]:
        """The fields of the first line with that message."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for message, fields in self.lines:
                    if message == wanted:
                        return fields
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    sink = logger.add(log.add, level="DEBUG")
    yield log
    logger.remove(sink)


@pytest.fixture(autouse=True)
def unsettle() -> Iterator[None]:
    """Undoes what a serving process does to its interpreter."""
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)
    gc.unfreeze()


def _settings(**server: object) -> Settings:
    known = {"host": HOST, "port": 0, "metrics_host": HOST, "metrics_port": 0}
    return Settings(
        server=ServerSettings.model_validate({**known, **server}),
        history=HistorySettings(enabled=False),
    )


def _get(port: object) -> str:
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=PATIENCE_S) as page:
        return page.read().decode()


@pytest.mark.parametrize("ask", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal_and_says_when_and_where(
    log: Log, ask: signal.Signals
) -> None:
    serving = asyncio.create_task(serve(_settings(), fake_predictor))
    fields = await log.until("serving")
    assert fields["host"] == HOST
    assert fields["model_version"] == "fake-1"
    async with grpc.aio.insecure_channel(f"{HOST}:{fields['port']}") as channel:
        answer = await pb_grpc.RuntimePredictorStub(channel).Predict(job())
        assert answer.predicted_runtime > 0
    page = await asyncio.to_thread(_get, fields["metrics_port"])
    assert 'rt_predictor_requests_total{method="Predict",status="OK"} 1.0' in page
    assert "rt_predictor_workers_up 1.0" in page
    assert 'rt_predictor_model_info{version="fake-1"} 1.0' in page
    os.kill(os.getpid(), ask)
    assert await serving == 0
    assert log.messages[-2:] == ["shutting down", "stopped"]
    with pytest.raises(urllib.error.URLError):
        await asyncio.to_thread(_get, fields["metrics_port"])


async def test_a_second_signal_does_not_wait_for_calls(log: Log) -> None:
    serving = asyncio.create_task(serve(_settings(drain_timeout_s=1e6), fake_predictor))
    port = (await log.until("serving"))["port"]
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        stream = pb_grpc.RuntimePredictorStub(channel).PredictStream()
        await stream.write(job())
        await stream.read()
        os.kill(os.getpid(), signal.SIGTERM)
        await log.until("shutting down")
        os.kill(os.getpid(), signal.SIGTERM)
        assert await serving == 0
        stream.cancel()


async def test_hangup_changes_nothing_but_is_noticed(log: Log) -> None:
    serving = asyncio.create_task(serve(_settings(metrics_enabled=False), fake_predictor))
    fields = await log.until("serving")
    assert "metrics_port" not in fields
    os.kill(os.getpid(), signal.SIGHUP)
    await log.until("SIGHUP changes nothing: one process serves, and must be restarted")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await serving == 0


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        yield other.getsockname()[1]


def _no_model(settings: Settings, history: History) -> PredictorPort:
    raise AssertionError("the model is loaded in vain")


@pytest.mark.parametrize("setting", ["port", "metrics_port"])
async def test_a_port_in_use_is_found_before_the_model_is_loaded(
    taken_port: int, setting: str
) -> None:
    with pytest.raises(PortInUseError, match=rf"port {taken_port} \(server.{setting}\)"):
        await serve(_settings(**{setting: taken_port}), _no_model)


async def test_a_second_server_on_the_same_port_cannot_start() -> None:
    async with running(FakePredictor()) as service:
        with pytest.raises(PortInUseError):
            await serve(_settings(port=service.port), _no_model)


async def test_a_bundle_that_cannot_be_read_leaves_no_port_taken() -> None:
    def broken(settings: Settings, history: History) -> PredictorPort:
        raise BundleError("damaged")

    port = free_port()
    with pytest.raises(BundleError):
        await serve(_settings(metrics_port=port), broken)
    with socket.socket() as probe:
        probe.bind((HOST, port))


async def test_a_port_that_is_taken_meanwhile_is_told_in_words(taken_port: int) -> None:
    settings = ServerSettings(host=HOST)
    server = Server(
        settings, FakePredictor(), History.off(), Metrics(_registry()), {}, shares_port=False
    )
    with pytest.raises(StartupError, match=rf"cannot listen on {HOST}:{taken_port}: change"):
        await server.start(taken_port)


def _registry():
    from prometheus_client import CollectorRegistry

    return CollectorRegistry()


async def test_a_server_that_shares_its_port_closes_it_before_its_calls_are_done() -> None:
    settings = ServerSettings(host=HOST)
    server = Server(
        settings, FakePredictor(), History.off(), Metrics(_registry()), {}, shares_port=True
    )
    port = await server.start(0)
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        stream = pb_grpc.RuntimePredictorStub(channel).PredictStream()
        await stream.write(job())
        await stream.read()
        stopping = asyncio.create_task(server.stop(asyncio.Event()))
        async with asyncio.timeout(PATIENCE_S):
            while await _accepts(port):
                pass
        await stream.write(job(request_id="last"))
        await stream.done_writing()
        assert (await stream.read()).request_id == "last"
        await stopping


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except ConnectionError:
        return False
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return True


async def test_memory_is_sampled_while_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SAMPLE_S", 0.0)
    async with running(FakePredictor()) as service:
        async with asyncio.timeout(PATIENCE_S):
            while service.metric("resident_memory_bytes", worker="0") < 1_000_000:
                await asyncio.sleep(0)
        await service.stub.HealthCheck(pb.HealthCheckRequest())


async def test_figures_go_on_after_one_look_at_them_has_failed(
    monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    sample, looks = Metrics.sample_history, 0

    def fails_at_first(metrics: Metrics, state: HistoryState) -> None:
        nonlocal looks
        looks += 1
        if looks <= 2:
            raise OSError("no space left")
        sample(metrics, state)

    monkeypatch.setattr(server_module, "SAMPLE_S", 0.0)
    monkeypatch.setattr(Metrics, "sample_history", fails_at_first)
    async with running(FakePredictor()):
        async with asyncio.timeout(PATIENCE_S):
            while looks < 4:
                await asyncio.sleep(0)
    assert log.messages.count("figures are not up to date") == 1


def test_a_metrics_page_that_has_died_is_noticed() -> None:
    page = open_metrics_page(ServerSettings(metrics_host=HOST, metrics_port=0), _registry())
    check: Callable = page_check(page)
    assert check().message == f"on port {page.port}"
    page.close()
    assert check().state is State.DEGRADED
    assert page_check(None)().state is State.SERVING
