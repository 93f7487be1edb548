"""A real service answers real clients."""

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from rt_predictor import __version__
from rt_predictor.client import SERVICE, Client, Job, Prediction, Rejection
from rt_predictor.errors import InvalidRequestError, ServiceError
from rt_predictor.model.answer_flags import Flag
from tests.waiting import PATIENCE_S

from .bundles import version_of
from .conftest import Service, running

BOOSTERS = {"xgboost", "lightgbm", "catboost"}
JOB = Job(
    processors_req=32, nodes_req=4, mem_req=128_000, time_req=3600, partition="normal",
    qos="normal", user="alice", request_id="one",
)  # fmt: skip


def _client(service: Service) -> Client:
    return Client(service.target, timeout_s=PATIENCE_S)


def _assert_sound(answer: object) -> Prediction:
    assert isinstance(answer, Prediction), answer
    assert 0 < answer.confidence_lower <= answer.predicted_runtime <= answer.confidence_upper
    assert answer.confidence_level == pytest.approx(0.9)
    assert set(answer.model_predictions) >= BOOSTERS
    assert all(value > 0 for value in answer.model_predictions.values())
    return answer


async def test_a_job_is_predicted(service: Service, bundle: Path) -> None:
    async with _client(service) as client:
        answer = _assert_sound(await client.predict(JOB))
    assert answer.request_id == "one"
    assert answer.timeout_probability is not None
    assert 0 <= answer.timeout_probability <= 1
    assert answer.model_version == version_of(bundle)


async def test_a_partial_job_is_predicted_and_flagged(service: Service) -> None:
    async with _client(service) as client:
        answer = _assert_sound(await client.predict(Job(partial=True)))
    assert answer.timeout_probability is None
    assert Flag.NO_TIME_LIMIT in answer.flags


async def test_an_invalid_job_is_refused_with_field_value_and_rule(service: Service) -> None:
    async with _client(service) as client:
        with pytest.raises(InvalidRequestError, match=r"^nodes_req = 0: must be a whole number"):
            await client.predict(replace(JOB, nodes_req=0))
        with pytest.raises(InvalidRequestError, match=r"^qos is missing: required"):
            await client.predict(replace(JOB, qos=""))


async def test_a_jobs_answer_is_the_same_alone_in_a_batch_and_in_a_stream(
    service: Service,
) -> None:
    jobs = [
        replace(JOB, time_req=60.0 * n, request_id=str(n), submit_time=1e9) for n in range(1, 9)
    ]
    async with _client(service) as client:
        alone = [await client.predict(job) for job in jobs]
        together = [answer async for answer in client.predict_many(jobs)]
        streamed = [answer async for answer in client.stream(jobs)]
    assert alone == together == streamed


async def test_a_bad_job_does_not_fail_its_neighbours(service: Service) -> None:
    jobs = [JOB, replace(JOB, processors_req=-1, request_id="bad"), JOB]
    async with _client(service) as client:
        for answers in (client.predict_many(jobs), client.stream(jobs)):
            first, second, third = [answer async for answer in answers]
            _assert_sound(first)
            _assert_sound(third)
            assert isinstance(second, Rejection)
            assert (second.field, second.request_id, second.code) == ("processors_req", "bad", 3)


async def test_a_stream_answers_before_the_next_job_is_sent(service: Service) -> None:
    answers: asyncio.Queue[object] = asyncio.Queue()

    async def jobs() -> AsyncIterator[Job]:
        for _ in range(3):
            yield JOB
            _assert_sound(await asyncio.wait_for(answers.get(), PATIENCE_S))

    async with _client(service) as client:
        seen = 0
        async for answer in client.stream(jobs()):
            seen += 1
            answers.put_nowait(answer)
    assert seen == 3


async def test_the_model_tells_about_itself(service: Service) -> None:
    async with _client(service) as client:
        info = await client.model_info()
    assert info.service_version == __version__
    assert info.model.training_samples > 0
    assert info.model.kind == "base"
    assert info.model.training_span_start == info.model.training_span_end == 0
    assert info.model.acknowledgements
    assert len(info.model.features) > 44
    assert {m.name for m in info.model.members if m.trees} == BOOSTERS
    assert sum(info.model.providers.values()) > 0
    assert info.model.metrics["mae"] > 0


async def test_the_service_tells_how_it_is(service: Service) -> None:
    async with _client(service) as client:
        health = await client.health()
        assert await client.is_serving(SERVICE)
        assert await client.is_serving("")
    assert health.status == "SERVING"
    assert health.memory_bytes > 1_000_000
    assert health.components["model"] == "SERVING"


def test_a_stock_health_client_is_answered(service: Service) -> None:
    with grpc.insecure_channel(service.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            request = health_pb2.HealthCheckRequest(service=name)
            answer = stub.Check(request, timeout=PATIENCE_S, wait_for_ready=True)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_reflection_client_finds_the_service_and_its_calls(service: Service) -> None:
    with grpc.insecure_channel(service.target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
        file = database.FindFileContainingSymbol(SERVICE)
    calls = {method.name for method in file.service[0].method}
    assert {"Predict", "PredictBatch", "PredictStream", "GetModelInfo", "HealthCheck"} <= calls


def test_the_metrics_page_has_the_names_that_dashboards_know(service: Service) -> None:
    with urllib.request.urlopen(service.metrics_url, timeout=PATIENCE_S) as page:
        text = page.read().decode()
    for name in (
        "rt_predictor_requests_total",
        "rt_predictor_request_duration_seconds",
        "rt_predictor_prediction_duration_seconds",
        "rt_predictor_active_connections",
    ):
        assert f"# TYPE {name} " in text


@pytest.mark.parametrize("ask", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_calls_finish_takes_no_more_and_exits_0(
    bundle: Path, ask: signal.Signals
) -> None:
    with running(bundle) as service:
        target, answered, refused = service.target, asyncio.Event(), asyncio.Event()

        async def knock_until_refused(client: Client) -> None:
            while True:
                await client.predict(JOB)

        async def jobs() -> AsyncIterator[Job]:
            yield JOB
            await asyncio.wait_for(answered.wait(), PATIENCE_S)
            service.process.send_signal(ask)
            while not refused.is_set():
                await asyncio.sleep(0.01)
                yield JOB

        async def stream(client: Client) -> None:
            async for answer in client.stream(jobs()):
                _assert_sound(answer)
                answered.set()

        # A call that is neither answered nor refused must not outlast what the stream is given.
        async with Client(target) as early, Client(target, timeout_s=10.0) as late:
            streaming = asyncio.create_task(stream(early))
            await asyncio.wait_for(answered.wait(), PATIENCE_S)
            with pytest.raises(ServiceError):
                await knock_until_refused(late)
            refused.set()
            await streaming
        assert service.process.wait(PATIENCE_S) == 0


async def test_workers_share_the_port_and_stop_together(bundle: Path) -> None:
    with running(bundle, "--workers", 2) as service:
        for _ in range(8):
            async with _client(service) as client:
                _assert_sound(await client.predict(JOB))
        service.process.terminate()
        assert service.process.wait(PATIENCE_S) == 0
