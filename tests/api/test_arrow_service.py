"""`PredictArrow` over a real channel."""

import asyncio

import grpc
import polars as pl
import pytest

from rt_predictor.api import stream as api_stream
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from tests.api.harness import running
from tests.api.test_arrow import generated, stream_of
from tests.predict.fakes import MEMBERS, POISON, FakePredictor


def _request(jobs: pl.DataFrame, **fields: object) -> pb.PredictArrowRequest:
    return pb.PredictArrowRequest(jobs=stream_of(jobs), **fields)


async def _refused(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    return raised.value


async def test_every_table_is_answered_in_order_and_says_what_answered() -> None:
    tables = [generated(200)[:count] for count in (3, 0, 200, 1)]
    async with running(FakePredictor()) as service:
        call = service.stub.PredictArrow(iter([_request(jobs) for jobs in tables]))
        answers = [answer async for answer in call]
        for jobs, answer in zip(tables, answers, strict=True):
            found = pl.read_ipc_stream(answer.predictions)
            expected = FakePredictor().predict(jobs).runtime_s.tolist()
            assert found["predicted_runtime"].to_list() == expected
            assert answer.failed == 0
            assert answer.model_version == "fake-1"
            assert answer.confidence_level == 0.9
            assert tuple(answer.models) == MEMBERS
        assert service.metric("predictions_total") == 204


async def test_what_cannot_be_scored_is_counted_and_harms_nobody() -> None:
    jobs = generated(5).with_columns(
        job_name=pl.Series(["a", POISON, "b", "c", "d"]),
        nodes_req=pl.Series([1.0, 1.0, 0.0, 1.0, 1.0]),
    )
    async with running(FakePredictor()) as service:
        (answer,) = [one async for one in service.stub.PredictArrow(iter([_request(jobs)]))]
        found = pl.read_ipc_stream(answer.predictions)
        assert found["error_code"].to_list() == [None, 13, 3, None, None]
        assert answer.failed == 2
        assert service.metric("invalid_jobs_total", field="nodes_req") == 1
        assert service.metric("internal_errors_total") == 1


async def test_a_table_that_cannot_be_read_ends_the_call_after_the_answers_before_it() -> None:
    async with running(FakePredictor()) as service:
        bad = pb.PredictArrowRequest(jobs=b"nonsense")
        call = service.stub.PredictArrow(iter([_request(generated(2)), bad]))
        assert len(pl.read_ipc_stream((await call.read()).predictions)) == 2
        error = await _refused(call)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "byte 0" in error.details()
        assert service.metric("requests_total", method="PredictArrow", status=error.code().name)


async def test_a_table_over_the_limit_is_refused() -> None:
    async with running(FakePredictor(), max_batch_jobs=4) as service:
        error = await _refused(service.stub.PredictArrow(iter([_request(generated(5))])))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "server.max_batch_jobs" in error.details()


async def test_a_message_of_another_type_is_refused() -> None:
    async with running(FakePredictor()) as service:
        call = service.channel.stream_stream("/rt_predictor.v1.RuntimePredictor/PredictArrow")
        error = await _refused(call(iter([b"\xff\xff"])))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_idle_call_is_ended_when_the_server_drains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api_stream, "IDLE_S", 0.0)
    async with running(FakePredictor()) as service:
        call = service.stub.PredictArrow()
        await call.write(_request(generated(1)))
        await call.read()
        stopping = asyncio.create_task(service.server.stop(asyncio.Event()))
        error = await _refused(call)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        await stopping
