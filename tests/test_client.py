"""The client against a service that does as it is told, in this process."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import polars as pl
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.client import (
    SERVICE,
    Answer,
    Client,
    InvalidOutcome,
    Job,
    Outcome,
    Prediction,
    Recorded,
    Rejection,
)
from rt_predictor.errors import InvalidRequestError, ServiceError
from rt_predictor.model.answer_flags import Flag
from rt_predictor.traces.generate import generate_jobs
from tests.waiting import PATIENCE_S

JOB = Job(
    processors_req=32, nodes_req=4, mem_req=128_000, time_req=3600, partition="normal", qos="high"
)


@dataclass
class FakeService(pb_grpc.RuntimePredictorServicer):
    """Answers half the limit; remembers what it was asked; fails while it has failures left."""

    failures: list[tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]] = field(
        default_factory=list
    )
    requests: list[Any] = field(default_factory=list)
    hang: bool = False

    async def _enter(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        self.requests.append(request)
        if self.failures:
            code, details, metadata = self.failures.pop(0)
            await context.abort(code, details, metadata)
        if self.hang:
            await asyncio.Event().wait()

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:  # noqa: N802
        await self._enter(request, context)
        return _respond(request)

    async def PredictBatch(  # noqa: N802
        self, request: pb.PredictBatchRequest, context: Any
    ) -> pb.PredictBatchResponse:
        await self._enter(request, context)
        return pb.PredictBatchResponse(predictions=[_respond(job) for job in request.jobs])

    async def PredictArrow(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.PredictArrowRequest], context: Any
    ) -> AsyncIterator[pb.PredictArrowResponse]:
        async for request in request_iterator:
            await self._enter(request, context)
            jobs = pl.read_ipc_stream(request.jobs)
            answers = jobs.select(
                *(["request_id"] if "request_id" in jobs.columns else []),
                predicted_runtime=pl.col("time_req") / 2,
                error=pl.lit(None, pl.String),
            )
            stream = io.BytesIO()
            answers.write_ipc_stream(stream)
            yield pb.PredictArrowResponse(
                predictions=stream.getvalue(), model_version="m1", confidence_level=0.9
            )

    async def PredictStream(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.PredictRequest], context: Any
    ) -> AsyncIterator[pb.PredictResponse]:
        async for request in request_iterator:
            await self._enter(request, context)
            yield _respond(request)

    async def RecordOutcomes(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.RecordOutcomesRequest], context: Any
    ) -> pb.RecordOutcomesResponse:
        messages = [message async for message in request_iterator]
        await self._enter(messages, context)
        outcomes = [outcome for message in messages for outcome in message.outcomes]
        bad = [n for n, outcome in enumerate(outcomes) if outcome.runtime <= 0]
        errors = [pb.ItemError(message="no", field="runtime", index=place) for place in bad]
        valid = len(outcomes) - len(bad)
        return pb.RecordOutcomesResponse(
            recorded=valid, duplicates=1, invalid=len(bad), errors=errors
        )

    async def GetModelInfo(self, request: Any, context: Any) -> pb.GetModelInfoResponse:  # noqa: N802
        await self._enter(request, context)
        return pb.GetModelInfoResponse(
            model_version="m1",
            service_version="1.2.3",
            trained_at=5.0,
            training_span_start=1.0,
            training_span_end=4.0,
            training_samples=7,
            training_traces=["a.swf"],
            metrics={"mae": 60.0},
            features=[pb.FeatureInfo(name="time_req", unit="s", description="d", importance=0.5)],
            models=[pb.ModelWeight(name="xgboost", weight=1.0, trees=9)],
            providers={"CPUExecutionProvider": 3},
            uptime_seconds=8.0,
            predictions_served=11,
            confidence_level=0.9,
        )

    async def HealthCheck(self, request: Any, context: Any) -> pb.HealthCheckResponse:  # noqa: N802
        await self._enter(request, context)
        state = pb.HealthCheckResponse.Status
        return pb.HealthCheckResponse(
            status=state.STATUS_DEGRADED,
            message="metrics page is away",
            uptime_seconds=2.0,
            memory_bytes=1024,
            components={"model": pb.ComponentHealth(status=state.STATUS_SERVING)},
            service_version="1.2.3",
        )


def _respond(request: pb.PredictRequest) -> pb.PredictResponse:
    if request.nodes_req == 0 and request.HasField("nodes_req"):
        error = pb.ItemError(code=3, message="nodes_req = 0: must be more", field="nodes_req")
        return pb.PredictResponse(error=error, request_id=request.request_id)
    limit = request.time_req
    return pb.PredictResponse(
        predicted_runtime=limit / 2 or 1.0,
        confidence_lower=limit / 4,
        confidence_upper=limit,
        confidence_level=0.9,
        timeout_probability=0.25 if request.HasField("time_req") else None,
        model_predictions={"xgboost": limit / 3},
        model_version="m1",
        request_id=request.request_id,
        flags=[1, 4, 999],
    )


class FakeHealth(health_pb2_grpc.HealthServicer):
    """Alive, but not ready."""

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        state = health_pb2.HealthCheckResponse
        return state(status=state.SERVING if request.service == "" else state.NOT_SERVING)


@asynccontextmanager
async def serving(service: FakeService) -> AsyncIterator[str]:
    server = grpc.aio.server()
    pb_grpc.add_RuntimePredictorServicer_to_server(service, server)
    health_pb2_grpc.add_HealthServicer_to_server(FakeHealth(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not waited for."""
    taken: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        taken.append(seconds)
        await sleep(0)

    monkeypatch.setattr("rt_predictor.client.connection.asyncio.sleep", note)
    return taken


async def ask(
    service: FakeService, call: Callable[[Client], Awaitable[Any]], timeout_s: float = 30.0
) -> Any:
    async with serving(service) as target, Client(target, timeout_s=timeout_s) as client:
        return await call(client)


async def collect(answers: AsyncIterator[Answer]) -> list[Answer]:
    return [answer async for answer in answers]


# finished jobs


OUTCOME = Outcome(replace(JOB, submit_time=5.0), "77", end_time=50.0, runtime=40.0, state="FAILED")


async def test_an_outcome_travels_with_all_its_fields() -> None:
    service = FakeService()
    found = await ask(service, lambda client: client.record([OUTCOME]))
    assert found == Recorded(recorded=1, duplicates=1)
    ((message,),) = service.requests
    (outcome,) = message.outcomes
    assert outcome.job == pb.PredictRequest(**vars(OUTCOME.job))
    assert (outcome.job_id, outcome.end_time, outcome.runtime) == ("77", 50.0, 40.0)
    assert (outcome.state, outcome.HasField("start_time")) == ("FAILED", False)


async def test_many_outcomes_go_in_several_calls_and_are_added_up() -> None:
    service = FakeService()
    bad = replace(OUTCOME, runtime=0.0)
    outcomes = [*[OUTCOME] * 2500, bad, *[OUTCOME] * 1000]
    found = await ask(service, lambda client: client.record(outcomes, call_outcomes=2000))
    sizes = [[len(message.outcomes) for message in call] for call in service.requests]
    assert sizes == [[1000, 1000], [1000, 501]]
    assert (found.recorded, found.duplicates, found.invalid) == (3500, 2, 1)
    assert found.errors == (InvalidOutcome(2500, "no", "runtime"),)


async def test_a_frame_of_finished_jobs_is_recorded() -> None:
    service = FakeService()
    events = generate_jobs(3, seed=1).drop("qos", "state")
    assert (await ask(service, lambda client: client.record(events))).recorded == 3
    ((message,),) = service.requests
    assert [outcome.job_id for outcome in message.outcomes] == ["1", "2", "3"]
    assert [outcome.runtime for outcome in message.outcomes] == events["runtime"].to_list()
    assert {(o.job.qos, o.state) for o in message.outcomes} == {("", "")}


async def test_outcomes_are_sent_again_where_that_may_help() -> None:
    service = FakeService(failures=[(grpc.StatusCode.UNAVAILABLE, "the disk is full", ())])
    assert (await ask(service, lambda client: client.record([OUTCOME]))).recorded == 1
    assert service.requests[0] == service.requests[1]


async def test_a_service_without_history_says_so() -> None:
    service = FakeService(failures=[(grpc.StatusCode.FAILED_PRECONDITION, "switched off", ())])
    with pytest.raises(ServiceError, match="switched off"):
        await ask(service, lambda client: client.record([OUTCOME]))


# one job


async def test_a_job_travels_with_all_its_fields() -> None:
    service = FakeService()
    job = replace(
        JOB, user="u", account="a", job_name="j", gpus_req=0, submit_time=5.0, request_id="r",
        partial=True,
    )  # fmt: skip
    answer = await ask(service, lambda client: client.predict(job))
    assert service.requests == [pb.PredictRequest(**vars(job))]
    assert service.requests[0].HasField("gpus_req")
    assert answer == Prediction(
        predicted_runtime=1800.0,
        confidence_lower=900.0,
        confidence_upper=3600.0,
        confidence_level=0.9,
        timeout_probability=0.25,
        recommended_time_req=None,
        model_predictions={"xgboost": 1200.0},
        flags=Flag.COLD_START_USER | Flag.NO_TIME_LIMIT,
        model_version="m1",
        request_id="r",
    )


async def test_what_is_not_known_stays_absent() -> None:
    service = FakeService()
    answer = await ask(service, lambda client: client.predict(Job(partial=True)))
    (request,) = service.requests
    assert [name.name for name, _ in request.ListFields()] == ["partial"]
    assert answer.timeout_probability is None


# many jobs


async def test_a_batch_is_cut_into_chunks_and_answered_in_order() -> None:
    service = FakeService()
    jobs = [replace(JOB, time_req=float(n), request_id=str(n)) for n in range(1, 8)]
    answers = await ask(service, lambda c: collect(c.predict_many(iter(jobs), chunk_jobs=3)))
    assert [len(request.jobs) for request in service.requests] == [3, 3, 1]
    assert [answer.request_id for answer in answers] == [str(n) for n in range(1, 8)]


async def test_no_jobs_need_no_call() -> None:
    service = FakeService()
    assert await ask(service, lambda client: collect(client.predict_many([]))) == []
    assert service.requests == []


async def test_a_bad_job_is_rejected_and_its_neighbours_answered() -> None:
    bad = replace(JOB, nodes_req=0, request_id="bad")
    for call in (
        lambda client: collect(client.predict_many([JOB, bad, JOB])),
        lambda client: collect(client.stream([JOB, bad, JOB])),
    ):
        first, second, third = await ask(FakeService(), call)
        assert second == Rejection("nodes_req = 0: must be more", "nodes_req", 3, "bad")
        assert isinstance(first, Prediction)
        assert isinstance(third, Prediction)


async def _frames(parts: AsyncIterator[pl.DataFrame]) -> list[pl.DataFrame]:
    return [part async for part in parts]


async def test_a_frame_travels_as_tables_and_comes_back_in_order() -> None:
    service = FakeService()
    jobs = pl.DataFrame({"time_req": range(10, 80, 10), "request_id": list("abcdefg"), "x": 0})
    parts = await ask(service, lambda client: _frames(client.predict_frame(jobs, chunk_jobs=3)))
    assert [len(part) for part in parts] == [3, 3, 1]
    found = pl.concat(parts)
    assert found["request_id"].to_list() == list("abcdefg")
    assert found["predicted_runtime"].to_list() == [5, 10, 15, 20, 25, 30, 35]
    assert found["model_version"].to_list() == ["m1"] * 7
    assert found["confidence_level"].to_list() == [0.9] * 7
    assert all(request.partial for request in service.requests)
    assert await ask(service, lambda client: _frames(client.predict_frame(jobs[:0]))) == []


async def test_the_columns_of_a_frame_may_be_of_many_types() -> None:
    service = FakeService()
    jobs = pl.DataFrame(
        {
            "submit_time": [datetime(2025, 1, 1, tzinfo=UTC)],
            "time_req": [timedelta(hours=1, milliseconds=500)],
            "nodes_req": pl.Series([3], dtype=pl.UInt8),
            "mem_req": pl.Series(["4.5"], dtype=pl.Decimal(10, 2)),
            "partition": pl.Series(["normal"], dtype=pl.Categorical),
            "user": ["alice"],
            "elsewhere": [[1, 2]],
        }
    )
    await ask(service, lambda client: _frames(client.predict_frame(jobs, partial=False)))
    (request,) = service.requests
    assert not request.partial
    assert pl.read_ipc_stream(request.jobs).to_dicts() == [
        {
            "submit_time": 1_735_689_600.0,
            "nodes_req": 3.0,
            "mem_req": 4.5,
            "time_req": 3600.5,
            "partition": "normal",
            "user": "alice",
        }
    ]


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        (pl.DataFrame({"time_req": ["an hour"]}), "the frame is no table of jobs: .*time_req"),
        (pl.DataFrame({"limit": [1]}), "no column of a job; it has limit: name them submit_time"),
    ],
)
async def test_a_frame_that_is_no_table_of_jobs_is_refused(jobs: pl.DataFrame, said: str) -> None:
    service = FakeService()
    with pytest.raises(InvalidRequestError, match=said):
        await ask(service, lambda client: _frames(client.predict_frame(jobs)))
    assert service.requests == []


async def test_a_table_is_sent_again_where_that_may_help() -> None:
    service = FakeService(failures=[(grpc.StatusCode.UNAVAILABLE, "draining", ())])
    jobs = pl.DataFrame({"time_req": [10.0]})
    (part,) = await ask(service, lambda client: _frames(client.predict_frame(jobs)))
    assert part["predicted_runtime"].to_list() == [5.0]
    assert len(service.requests) == 2


async def test_who_stops_reading_a_frame_leaves_no_call_behind() -> None:
    service = FakeService(hang=True)
    jobs = pl.DataFrame({"time_req": range(100)})

    async def stop_at_once(client: Client) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await _frames(client.predict_frame(jobs, chunk_jobs=10))

    await ask(service, stop_at_once)
    assert len(service.requests) <= 2


async def test_calls_take_turns_on_the_connections() -> None:
    peers: set[str] = set()

    class _Peers(FakeService):
        async def Predict(self, request: Any, context: Any) -> pb.PredictResponse:  # noqa: N802
            peers.add(context.peer())
            return await super().Predict(request, context)

    async with serving(_Peers()) as target, Client(target, connections=3) as client:
        for _ in range(6):
            await client.predict(JOB)
    assert len(peers) == 3


# streams


async def test_a_stream_answers_what_has_come_before_more_is_sent() -> None:
    async def talk(client: Client) -> list[str]:
        answered: asyncio.Queue[str] = asyncio.Queue()

        async def jobs() -> AsyncIterator[Job]:
            yield replace(JOB, request_id="1")
            yield replace(JOB, request_id=f"after {await answered.get()}")

        seen = []
        async for answer in client.stream(jobs()):
            seen.append(answer.request_id)
            answered.put_nowait(answer.request_id)
        return seen

    assert await ask(FakeService(), talk) == ["1", "after 1"]


async def test_a_stream_can_be_left_early() -> None:
    def endless() -> Iterator[Job]:
        while True:
            yield JOB

    async def first(client: Client) -> Answer:
        stream = client.stream(endless())
        async for answer in stream:
            await stream.aclose()  # type: ignore[attr-defined]
            return answer
        raise AssertionError("the stream gave nothing")

    assert isinstance(await ask(FakeService(), first), Prediction)


@pytest.mark.parametrize("first", [[], [JOB]], ids=["at once", "later"])
async def test_an_error_where_the_jobs_come_from_is_raised_as_it_is(first: list[Job]) -> None:
    def jobs() -> Iterator[Job]:
        yield from first
        raise KeyError("no more jobs")

    async def more_jobs() -> AsyncIterator[Job]:
        for job in jobs():
            yield job

    for source in (jobs, more_jobs):
        with pytest.raises(KeyError, match="no more jobs"):
            await ask(FakeService(), lambda c, source=source: collect(c.stream(source())))


async def test_a_cancelled_stream_stays_cancelled() -> None:
    async def cancelled(client: Client) -> None:
        reader = asyncio.create_task(collect(client.stream([JOB])))
        async with asyncio.timeout(PATIENCE_S):
            while not service.requests:
                await asyncio.sleep(0)
        reader.cancel()
        await reader

    service = FakeService(hang=True)
    with pytest.raises(asyncio.CancelledError):
        await ask(service, cancelled)


async def test_a_broken_stream_is_a_service_error() -> None:
    service = FakeService(failures=[(grpc.StatusCode.INTERNAL, "id 123", ())])
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:\d+: id 123 \(INTERNAL\)"):
        await ask(service, lambda client: collect(client.stream([JOB])))


# the service about itself


async def test_model_info_is_typed() -> None:
    found = await ask(FakeService(), lambda client: client.model_info())
    assert (found.model_version, found.service_version) == ("m1", "1.2.3")
    assert (found.confidence_level, found.uptime_seconds, found.predictions_served) == (
        0.9,
        8.0,
        11,
    )
    model = found.model
    assert (model.training_span_start, model.training_span_end, model.trained_at) == (1.0, 4.0, 5.0)
    assert (model.training_samples, model.training_traces) == (7, ("a.swf",))
    assert (model.features[0].name, model.members[0].trees) == ("time_req", 9)
    assert (model.metrics, model.providers) == ({"mae": 60.0}, {"CPUExecutionProvider": 3})


async def test_health_is_typed() -> None:
    found = await ask(FakeService(), lambda client: client.health())
    assert (found.status, found.message) == ("DEGRADED", "metrics page is away")
    assert found.components == {"model": "SERVING"}
    assert (found.uptime_seconds, found.memory_bytes, found.service_version) == (2.0, 1024, "1.2.3")


async def test_alive_is_not_ready() -> None:
    assert await ask(FakeService(), lambda client: client.is_serving("")) is True
    assert await ask(FakeService(), lambda client: client.is_serving(SERVICE)) is False


# attempts and errors

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "the service is shutting down", ())
FULL = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "the queue is full",
    (("grpc-retry-pushback-ms", "5000"),),
)
TOO_LARGE = (grpc.StatusCode.RESOURCE_EXHAUSTED, "jobs 9 is over the limit of 8", ())


async def test_a_call_is_made_again_with_growing_pauses(pauses: list[float]) -> None:
    service = FakeService(failures=[UNAVAILABLE] * 3)
    await ask(service, lambda client: client.predict(JOB))
    assert len(service.requests) == 4
    for pause, least in zip(pauses, (0.1, 0.2, 0.4), strict=True):
        assert least <= pause <= 1.5 * least


async def test_the_fourth_failure_is_the_last(pauses: list[float]) -> None:
    service = FakeService(failures=[UNAVAILABLE] * 9)
    with pytest.raises(ServiceError, match="shutting down"):
        await ask(service, lambda client: client.predict(JOB))
    assert len(service.requests) == 4


async def test_how_often_a_call_is_made_is_for_the_caller_to_say() -> None:
    service = FakeService(failures=[UNAVAILABLE] * 9)
    async with serving(service) as target, Client(target, attempts=2) as client:
        with pytest.raises(ServiceError, match="shutting down"):
            await client.predict(JOB)
    assert len(service.requests) == 2


@pytest.mark.parametrize(
    "ended",
    [
        # As grpc.aio says of a stream that ended while it was written.
        (grpc.StatusCode.INTERNAL, "Internal error from Core", ()),
        # As a service says of calls that reach it in its last moment.
        (grpc.StatusCode.CANCELLED, "CANCELLED", ()),
    ],
)
async def test_a_call_that_was_ended_without_an_answer_is_made_again(ended: Any) -> None:
    service = FakeService(failures=[ended])
    await ask(service, lambda client: client.predict(JOB))
    assert len(service.requests) == 2

    service = FakeService(failures=[ended] * 9)
    with pytest.raises(ServiceError, match="ended the call before it was answered: try again"):
        await ask(service, lambda client: client.predict(JOB))

    service = FakeService(failures=[ended] * 9)
    with pytest.raises(ServiceError, match=r"did not answer within 0\.09 s"):
        await ask(service, lambda client: client.predict(JOB), timeout_s=0.09)


async def test_a_full_queue_says_how_long_to_wait(pauses: list[float]) -> None:
    service = FakeService(failures=[FULL])
    await ask(service, lambda client: client.predict(JOB))
    assert len(pauses) == 1
    assert 5.0 <= pauses[0] <= 7.5


async def test_a_wait_beyond_the_deadline_is_not_taken(pauses: list[float]) -> None:
    service = FakeService(failures=[FULL])
    with pytest.raises(ServiceError, match="the queue is full"):
        await ask(service, lambda client: client.predict(JOB), timeout_s=4.0)
    assert pauses == []


@pytest.mark.parametrize("told", ["-1", "soon", ""])
async def test_a_wait_that_is_no_number_means_do_not_come_back(told: str) -> None:
    full = (grpc.StatusCode.RESOURCE_EXHAUSTED, "full", (("grpc-retry-pushback-ms", told),))
    service = FakeService(failures=[full])
    with pytest.raises(ServiceError, match="full"):
        await ask(service, lambda client: client.predict(JOB))
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("failure", "error", "says"),
    [
        (TOO_LARGE, ServiceError, r"over the limit of 8 \(RESOURCE_EXHAUSTED\)$"),
        ((grpc.StatusCode.INVALID_ARGUMENT, "qos is missing", ()), InvalidRequestError, "^qos is"),
        ((grpc.StatusCode.INTERNAL, "", ()), ServiceError, r": no details \(INTERNAL\)$"),
        ((grpc.StatusCode.UNAUTHENTICATED, "who?", ()), ServiceError, "who"),
        ((grpc.StatusCode.INTERNAL, "two\nlines", ()), ServiceError, "two lines"),
        ((grpc.StatusCode.UNIMPLEMENTED, "", ()), ServiceError, "does not know this call"),
    ],
)
async def test_what_cannot_get_better_is_not_tried_again(
    failure: Any, error: type[Exception], says: str
) -> None:
    service = FakeService(failures=[failure])
    with pytest.raises(error, match=says):
        await ask(service, lambda client: client.predict(JOB))
    assert len(service.requests) == 1


async def test_a_service_that_does_not_answer_is_given_up() -> None:
    with pytest.raises(ServiceError, match=r"did not answer within 0\.2 s"):
        await ask(FakeService(hang=True), lambda client: client.predict(JOB), timeout_s=0.2)


async def test_no_service_at_all_says_how_to_start_one() -> None:
    async with serving(FakeService()) as target:
        pass
    async with Client(target) as client:
        with pytest.raises(ServiceError) as caught:
            await client.predict(JOB)
    assert str(caught.value).startswith(f"no service answers at {target} (")
    assert "`rt-predictor serve`" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_host_that_does_not_exist_is_named() -> None:
    async with Client("no-such-host.invalid:50051", timeout_s=5) as client:
        with pytest.raises(ServiceError, match=r"no-such-host\.invalid:50051"):
            await client.predict(JOB)
