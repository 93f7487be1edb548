"""Many clients, slow ones and the end: who is served, who is turned away, and with what."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rt_predictor.api import stream as api_stream
from rt_predictor.api.codec import JobReader
from rt_predictor.api.middleware import SERVICE
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.jobs.schema import FEW_JOBS
from rt_predictor.predict import batcher
from tests.api.harness import Running, job, running
from tests.predict.fakes import POISON, FakePredictor, GatedPredictor
from tests.waiting import PATIENCE_S


@pytest.fixture
async def predictor() -> AsyncIterator[GatedPredictor]:
    predictor = GatedPredictor()
    yield predictor
    predictor.gate.set()


async def _hold(predictor: GatedPredictor, call) -> asyncio.Task:
    """Starts a call, and returns it once the model is at it and waits."""
    predictor.gate.clear()
    predictor.entered.clear()
    task = asyncio.ensure_future(_awaited(call))
    assert await asyncio.to_thread(predictor.entered.wait, PATIENCE_S)
    return task


async def _awaited(call):
    return await call


async def _refused(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def _large_batch() -> pb.PredictBatchRequest:
    return pb.PredictBatchRequest(jobs=[job()] * (FEW_JOBS + 1))


async def test_a_large_batch_does_not_hold_up_the_jobs_of_others(predictor) -> None:
    async with running(predictor) as service:
        batch = await _hold(predictor, service.stub.PredictBatch(_large_batch()))
        # The gate stays shut for the batch; a single job is scored by a model that is free.
        waiting, predictor.gate = predictor.gate, type(predictor.gate)()
        predictor.gate.set()
        for _ in range(20):
            assert (await service.stub.Predict(job())).predicted_runtime > 0
        assert not batch.done()
        waiting.set()
        assert len((await batch).predictions) == FEW_JOBS + 1


async def test_bad_clients_do_not_harm_a_good_one() -> None:
    async with running(FakePredictor(), stream_chunk_jobs=4) as service:
        idle = service.stub.PredictStream()
        await idle.write(job())
        unread = service.stub.PredictStream()
        await unread.write(job())
        gone = service.stub.PredictStream()
        await gone.write(job())
        gone.cancel()
        bad = [
            service.stub.Predict(job(job_name=POISON)),
            service.stub.Predict(job(nodes_req=-1)),
            service.stub.PredictBatch(pb.PredictBatchRequest(jobs=[job(job_name=POISON)] * 9)),
        ]
        good = [service.stub.Predict(job(request_id=str(n))) for n in range(20)]
        answers = [await call for call in good]
        assert [answer.request_id for answer in answers] == [str(n) for n in range(20)]
        await asyncio.gather(*(_awaited(call) for call in bad), return_exceptions=True)
        idle.cancel()
        unread.cancel()


@pytest.mark.usefixtures("always_on_threads")
async def test_a_call_too_many_is_told_when_to_try_again(predictor) -> None:
    async with running(predictor, max_concurrent_calls=1) as service:
        first = await _hold(predictor, service.stub.Predict(job()))
        error = await _refused(service.stub.Predict(job()))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        metadata = dict(error.trailing_metadata())
        assert metadata["retry-after"] == "1"
        assert metadata["grpc-retry-pushback-ms"] == "1000"
        assert service.metric("rejected_calls_total", reason="overloaded") == 1
        health = await service.stub.HealthCheck(pb.HealthCheckRequest())
        assert health.status == pb.HealthCheckResponse.STATUS_SERVING
        predictor.gate.set()
        await first
        assert (await service.stub.Predict(job())).predicted_runtime > 0


async def test_a_stream_takes_a_place_until_it_ends() -> None:
    async with running(FakePredictor(), max_concurrent_calls=1) as service:
        stream = service.stub.PredictStream()
        await stream.write(job())
        await stream.read()
        error = await _refused(service.stub.Predict(job()))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert (await service.stub.Predict(job())).predicted_runtime > 0


@pytest.mark.usefixtures("always_on_threads")
async def test_a_job_that_still_waits_when_its_caller_goes_is_never_scored(
    predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher, "LANES", 1)
    async with running(predictor) as service:
        first = await _hold(predictor, service.stub.Predict(job(request_id="first")))
        second = service.stub.Predict(job(time_req=99.0))
        async with asyncio.timeout(PATIENCE_S):
            while service.metric("active_connections") < 2:
                await asyncio.sleep(0)
        second.cancel()
        async with asyncio.timeout(PATIENCE_S):
            while service.metric("active_connections") > 1:
                await asyncio.sleep(0)
        predictor.gate.set()
        await first
        assert 99.0 not in [frame["time_req"][0] for frame in predictor.asked]


async def _draining(service: Running, hurry: asyncio.Event) -> asyncio.Task[None]:
    """Starts to drain, and returns once everyone can see it."""
    stopping = asyncio.create_task(service.server.stop(hurry))
    while True:
        health = await service.stub.HealthCheck(pb.HealthCheckRequest())
        if health.status == pb.HealthCheckResponse.STATUS_NOT_SERVING:
            assert health.message == "shutting down"
            return stopping


@pytest.mark.usefixtures("always_on_threads")
async def test_a_server_that_drains_says_so_takes_nothing_new_and_finishes_the_rest(
    predictor,
) -> None:
    async with running(predictor) as service:
        health = health_pb2_grpc.HealthStub(service.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        first = await _hold(predictor, service.stub.Predict(job(request_id="first")))
        stopping = await _draining(service, asyncio.Event())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        alive = await health.Check(health_pb2.HealthCheckRequest())
        assert alive.status == health_pb2.HealthCheckResponse.SERVING
        error = await _refused(service.stub.Predict(job()))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert service.metric("rejected_calls_total", reason="draining") == 1
        assert not first.done()
        predictor.gate.set()
        assert (await first).request_id == "first"
        await stopping


async def test_an_idle_stream_is_ended_when_the_server_drains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api_stream, "IDLE_S", 0.0)
    async with running(FakePredictor()) as service:
        stream = service.stub.PredictStream()
        await stream.write(job())
        await stream.read()
        stopping = asyncio.create_task(service.server.stop(asyncio.Event()))
        error = await _refused(stream.read())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        await stopping


@pytest.mark.usefixtures("always_on_threads")
@pytest.mark.parametrize("impatient", [False, True])
async def test_a_call_that_does_not_finish_in_time_is_cut_off(predictor, impatient: bool) -> None:
    timeout_s = PATIENCE_S if impatient else 0.01
    async with running(predictor, drain_timeout_s=timeout_s) as service:
        first = await _hold(predictor, service.stub.Predict(job()))
        hurry = asyncio.Event()
        if impatient:
            hurry.set()
        await service.server.stop(hurry)
        assert (await _refused(first)).code() in (
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.UNAVAILABLE,
        )


@pytest.mark.usefixtures("always_on_threads")
async def test_what_arrives_while_a_stream_is_scored_is_scored_together(
    predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = asyncio.Semaphore(0)
    add = JobReader.add

    def count(reader: JobReader, request: pb.PredictRequest) -> None:
        add(reader, request)
        arrived.release()

    monkeypatch.setattr(JobReader, "add", count)
    async with running(predictor) as service:
        predictor.asked.clear()
        predictor.gate.clear()
        stream = service.stub.PredictStream()
        for number in range(6):
            await stream.write(job(nodes_req=1 + number))
            await arrived.acquire()
        predictor.gate.set()
        for _ in range(6):
            await stream.read()
        assert [len(frame) for frame in predictor.asked] == [1, 5]
        stream.cancel()
