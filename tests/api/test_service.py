"""The service over a real channel: what clients ask, and what they are told."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from loguru import logger

from rt_predictor import __version__
from rt_predictor.api.middleware import SERVICE
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.history.history import History
from rt_predictor.observability.logging import PERSONAL
from tests.api.harness import HOST, job, running
from tests.predict.fakes import DESCRIPTION, POISON, FakePredictor
from tests.waiting import PATIENCE_S

_PREDICT = f"/{SERVICE}/Predict"
_STREAM = f"/{SERVICE}/PredictStream"


async def _refused(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def _raw(service, method: str):
    return service.channel.unary_unary(
        method, request_serializer=bytes, response_deserializer=bytes
    )


async def test_a_job_is_answered() -> None:
    async with running(FakePredictor()) as service:
        answer = await service.stub.Predict(job(request_id="mine", time_req=700.0))
        assert answer.request_id == "mine"
        assert answer.confidence_lower < answer.predicted_runtime < answer.confidence_upper
        assert answer.model_version == "fake-1"
        assert {"xgboost", "lightgbm", "catboost"} <= set(answer.model_predictions)
        assert service.metric("requests_total", method="Predict", status="OK") == 1
        assert service.metric("request_duration_seconds_count", method="Predict") == 1
        assert service.metric("predictions_total") == 1
        assert service.metric("active_connections") == 0


async def test_an_invalid_job_is_refused_with_field_value_and_rule() -> None:
    async with running(FakePredictor()) as service:
        error = await _refused(service.stub.Predict(job(nodes_req=0)))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details().startswith("nodes_req = 0: must be a whole number from 1")
        assert service.metric("invalid_jobs_total", field="nodes_req") == 1
        assert service.metric("requests_total", method="Predict", status="INVALID_ARGUMENT") == 1


@pytest.mark.parametrize("field", ["user", "job_name", "request_id", "partition"])
async def test_a_text_of_any_length_gets_a_status_that_fits_into_headers(field: str) -> None:
    async with running(FakePredictor()) as service:
        error = await _refused(service.stub.Predict(job(**{field: "é" * 100_000})))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details().startswith(f"{field} = 'é")


async def test_bytes_that_are_no_message_are_the_clients_mistake() -> None:
    async with running(FakePredictor()) as service:
        error = await _refused(_raw(service, _PREDICT)(b"\xff\xff\xff"))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        stream = service.channel.stream_stream(
            _STREAM, request_serializer=bytes, response_deserializer=bytes
        )()
        await stream.write(job().SerializeToString())
        assert await stream.read()
        await stream.write(b"\xff\xff\xff")
        error = await _refused(stream.read())
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_message_over_the_limit_is_told_so() -> None:
    async with running(FakePredictor(), max_message_mb=1) as service:
        error = await _refused(service.stub.Predict(job(job_name="x" * 2**21)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in error.details()


async def test_a_method_that_does_not_exist_is_unimplemented_and_not_counted() -> None:
    async with running(FakePredictor()) as service:
        error = await _refused(_raw(service, f"/{SERVICE}/Nothing")(b""))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_what_the_model_fails_on_is_internal_and_tells_nothing_but_an_id() -> None:
    lines: list[str] = []

    def write(line) -> None:
        said = {k: v for k, v in line.record["extra"].items() if k not in PERSONAL}
        lines.append(f"{line.record['message']} {said}")

    sink = logger.add(write, level="TRACE")
    async with running(FakePredictor()) as service:
        error = await _refused(service.stub.Predict(job(job_name=POISON)))
        assert error.code() is grpc.StatusCode.INTERNAL
        health = await service.stub.HealthCheck(pb.HealthCheckRequest())
        assert health.status == pb.HealthCheckResponse.STATUS_DEGRADED
        assert service.metric("internal_errors_total") == 1
        await service.stub.Predict(job())
        health = await service.stub.HealthCheck(pb.HealthCheckRequest())
        assert health.status == pb.HealthCheckResponse.STATUS_SERVING
    logger.remove(sink)
    text = "".join(lines)
    assert "alice" not in error.details() + text
    assert error.details().split()[2].rstrip(":") in text


async def test_a_batch_is_answered_in_order_with_an_error_for_each_bad_job() -> None:
    async with running(FakePredictor()) as service:
        jobs = [
            job(request_id="1", processors_req=None, partial=True),
            job(request_id="2", nodes_req=0),
            job(request_id="3", job_name=POISON),
            job(request_id="4", time_req=None, user=None, partial=True),
        ]
        answer = await service.stub.PredictBatch(pb.PredictBatchRequest(jobs=jobs, batch_id="b"))
        assert (answer.batch_id, answer.model_version, answer.failed) == ("b", "fake-1", 2)
        assert [one.request_id for one in answer.predictions] == ["1", "2", "3", "4"]
        assert [one.error.code for one in answer.predictions] == [0, 3, 13, 0]
        assert answer.predictions[3].flags == [
            pb.PREDICTION_FLAG_COLD_START_USER,
            pb.PREDICTION_FLAG_NO_TIME_LIMIT,
        ]
        assert service.metric("invalid_jobs_total", field="nodes_req") == 1
        assert service.metric("internal_errors_total") == 1
        assert service.metric("prediction_flags_total", flag="cold_start_user") == 1
        assert service.metric("predictions_total") == 2
        assert service.metric("jobs_in_flight") == 0


async def test_an_empty_batch_has_an_empty_answer() -> None:
    async with running(FakePredictor()) as service:
        answer = await service.stub.PredictBatch(pb.PredictBatchRequest(batch_id="b"))
        assert answer == pb.PredictBatchResponse(batch_id="b", model_version="fake-1")


async def test_a_large_batch_is_answered_like_a_small_one() -> None:
    async with running(FakePredictor()) as service:
        jobs = [job(time_req=2.0 * (n + 1), submit_time=0.0) for n in range(3000)]
        answer = await service.stub.PredictBatch(pb.PredictBatchRequest(jobs=jobs))
        assert [one.predicted_runtime for one in answer.predictions] == list(range(1, 3001))
        assert service.metric("batch_jobs_sum") == 3000
        assert service.metric("batch_jobs_count") == 1


async def test_too_many_jobs_are_told_the_limit() -> None:
    async with running(FakePredictor(), max_batch_jobs=2) as service:
        error = await _refused(service.stub.PredictBatch(pb.PredictBatchRequest(jobs=[job()] * 3)))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "3 is over the limit of 2 (server.max_batch_jobs)" in error.details()
        assert service.metric("rejected_calls_total", reason="too_large") == 1


async def test_an_id_that_is_too_long_is_refused() -> None:
    async with running(FakePredictor()) as service:
        batch = pb.PredictBatchRequest(batch_id="x" * 257)
        for call in (
            service.stub.PredictBatch(batch),
            service.stub.Predict(job(request_id="x" * 257)),
        ):
            assert (await _refused(call)).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_answers_each_job_before_the_next_is_sent() -> None:
    async with running(FakePredictor()) as service:
        stream = service.stub.PredictStream()
        for n, nodes in enumerate((1, 0, 1)):
            await stream.write(job(request_id=str(n), nodes_req=nodes))
            answer = await stream.read()
            assert (answer.request_id, answer.HasField("error")) == (str(n), nodes == 0)
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK


async def test_a_stream_answers_in_order_one_for_each_job() -> None:
    async with running(FakePredictor(), stream_chunk_jobs=70) as service:
        jobs = [job(request_id=str(n)) for n in range(500)]
        answers = [answer async for answer in service.stub.PredictStream(iter(jobs))]
        assert [answer.request_id for answer in answers] == [str(n) for n in range(500)]


async def test_a_stream_without_jobs_ends_well() -> None:
    async with running(FakePredictor()) as service:
        assert [answer async for answer in service.stub.PredictStream(iter(()))] == []


async def test_the_model_tells_about_itself() -> None:
    async with running(FakePredictor()) as service:
        await service.stub.Predict(job())
        info = await service.stub.GetModelInfo(pb.GetModelInfoRequest())
        assert info.model_version == "fake-1"
        assert info.service_version == __version__
        assert info.training_samples == DESCRIPTION.training_samples
        assert list(info.training_traces) == list(DESCRIPTION.training_traces)
        assert dict(info.metrics) == DESCRIPTION.metrics
        assert info.features[0].name == "time_req"
        assert (info.models[0].name, info.models[0].trees) == ("xgboost", 10)
        assert dict(info.providers) == DESCRIPTION.providers
        assert info.confidence_level == 0.9
        assert info.predictions_served == 1
        assert info.uptime_seconds > 0


async def test_the_service_tells_how_its_parts_are() -> None:
    async with running(FakePredictor()) as service:
        health = await service.stub.HealthCheck(pb.HealthCheckRequest())
        assert health.status == pb.HealthCheckResponse.STATUS_SERVING
        assert set(health.components) == {"model", "history", "memory", "metrics", "tls"}
        assert health.memory_bytes > 1_000_000
        assert health.service_version == __version__


async def test_stock_health_clients_are_answered() -> None:
    async with running(FakePredictor()) as service:
        stub = health_pb2_grpc.HealthStub(service.channel)
        for name in ("", SERVICE):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        error = await _refused(stub.Check(health_pb2.HealthCheckRequest(service="other")))
        assert error.code() is grpc.StatusCode.NOT_FOUND


def _services(port: int) -> list[str]:
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        return list(ProtoReflectionDescriptorDatabase(channel).get_services())


async def test_reflection_lists_the_services() -> None:
    async with running(FakePredictor()) as service:
        found = await asyncio.to_thread(_services, service.port)
        assert {SERVICE, "grpc.health.v1.Health"} <= set(found)


async def test_reflection_can_be_switched_off() -> None:
    async with running(FakePredictor(), reflection=False) as service:
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            await asyncio.to_thread(_services, service.port)


async def test_a_stream_whose_client_has_gone_leaves_nothing_behind() -> None:
    async with running(FakePredictor()) as service:
        stream = service.stub.PredictStream()
        await stream.write(job())
        await stream.read()
        assert service.metric("active_connections") == 1
        stream.cancel()
        async with asyncio.timeout(PATIENCE_S):
            while service.metric("active_connections"):
                await asyncio.sleep(0)
        assert service.metric("requests_total", method="PredictStream", status="CANCELLED") == 1


async def test_a_client_that_has_gone_while_it_is_answered_is_no_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = History.off()

    def gone() -> None:
        raise grpc.aio.InternalError('Failed "execute_batch"')  # as gRPC says what it cannot send

    monkeypatch.setattr(history, "check_on", gone)
    async with running(FakePredictor(), history) as service:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.stub.RecordOutcomes(iter(()), timeout=PATIENCE_S)
        assert caught.value.code() is grpc.StatusCode.CANCELLED
        assert service.metric("internal_errors_total") == 0
        assert service.metric("requests_total", method="RecordOutcomes", status="CANCELLED") == 1
