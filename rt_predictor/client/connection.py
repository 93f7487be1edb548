"""The connection to a service: calls with deadlines, attempts and errors in plain words."""

import asyncio
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from itertools import cycle, islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.client import codec
from rt_predictor.client.access import PLAIN, Access
from rt_predictor.client.failures import late_error, retry_wait_s, service_error, was_ended
from rt_predictor.client.values import (
    Answer,
    Event,
    Health,
    Job,
    ModelInfo,
    Outcome,
    Prediction,
    Recorded,
    Reloaded,
)

if TYPE_CHECKING:
    import polars as pl

DEFAULT_TARGET = "localhost:50051"
DEFAULT_TIMEOUT_S = 10.0
DEFAULT_ATTEMPTS = 4
DEFAULT_CHUNK_JOBS = 2_000
"""Jobs of one `PredictBatch`."""
DEFAULT_TABLE_JOBS = 20_000
"""Rows of one table of `PredictArrow`."""
CALL_OUTCOMES = 20_000
"""Finished jobs that are recorded in one call."""
MESSAGE_OUTCOMES = 1_000
"""Finished jobs in one of its messages."""
SERVICE = pb.DESCRIPTOR.services_by_name["RuntimePredictor"].full_name
"""Full name of the service; grpc.health.v1 reports readiness under it."""

_BACKOFF_S = 0.1
_CHANNEL_OPTIONS = (
    # Which size is too large is for the service to say.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The default of a second would make every attempt after a refused connection fail at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    # A service that vanished without a word is noticed while a call waits for it.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Channels to the same service would share one connection, and so one of its workers.
    ("grpc.use_local_subchannel_pool", 1),
)
_T = TypeVar("_T")


class Client:
    """A connection to one service; use it as an asynchronous context manager.

    Args:
        target: "host:port".
        timeout_s: time that one call may take, with all its attempts.
        connections: connections that calls take turns on. A service of several workers spreads
            connections over them, not calls: take a few times as many as it has workers.
        attempts: how often a call is made at most, while the service says that this may help.
        access: TLS and credentials; by default plain text without any.

    Raises UsageError where the files of `access` cannot be used. Every call raises ServiceError
    where the service cannot be reached, refuses or does not answer in time, and InvalidRequestError
    where it says that the request is wrong.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        connections: int = 1,
        attempts: int = DEFAULT_ATTEMPTS,
        access: Access = PLAIN,
    ) -> None:
        self.target = target
        self.timeout_s = timeout_s
        self._attempts = attempts
        self._metadata = access.metadata
        self._channels = [access.channel(target, _CHANNEL_OPTIONS) for _ in range(connections)]
        self._stubs = cycle([pb_grpc.RuntimePredictorStub(one) for one in self._channels])
        self._health = health_pb2_grpc.HealthStub(self._channels[0])

    @property
    def _stub(self) -> "pb_grpc.RuntimePredictorAsyncStub":
        """Return the methods, on the next connection in turn."""
        return next(self._stubs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def predict(self, job: Job) -> Prediction:
        """Predict one job."""
        request = codec.request(job)
        return codec.prediction(
            await self._call(lambda left_s: self._stub.Predict(request, **self._with(left_s)))
        )

    async def predict_many(
        self, jobs: Iterable[Job], *, chunk_jobs: int = DEFAULT_CHUNK_JOBS
    ) -> AsyncIterator[Answer]:
        """Predict jobs in batches of `chunk_jobs`; yield one answer for each, in order."""
        requests = map(codec.request, jobs)
        while chunk := list(islice(requests, chunk_jobs)):
            for response in await self._predict_batch(pb.PredictBatchRequest(jobs=chunk)):
                yield codec.answer(response)

    async def predict_frame(
        self,
        jobs: "pl.DataFrame",
        *,
        chunk_jobs: int = DEFAULT_TABLE_JOBS,
        partial: bool = True,
        confidence_level: float | None = None,
        quantiles: Sequence[float] = (),
    ) -> "AsyncIterator[pl.DataFrame]":
        """Predict a frame of jobs, the fastest way there is; yield frames, in order.

        Args:
            jobs: columns named as the fields of `Job`, any of them, numbers of any type; others
                are left out.
            chunk_jobs: rows that go into one call. Each is made again like any other call.
            partial: predict jobs that lack required fields from what is there.
            confidence_level: level of the intervals; None takes the service's.
            quantiles: levels of runtimes that are wanted beside.

        The rows that come back are those of `jobs`, in order. Columns: request_id (if `jobs` has
        it), predicted_runtime, confidence_lower, confidence_upper (s), timeout_probability,
        recommended_time_req, remaining_runtime (if `jobs` has elapsed), one for each quantile, as
        "quantile_0.25" (s), what each model and rule says under its name, flags (bits of `Flag`),
        error_code, error_field and error of a job that has no answer, confidence_level,
        recommendation_confidence, model_version.

        Raises InvalidRequestError where a column cannot be what its field is.
        """
        from rt_predictor.client.tables import answer_table, table_request

        waiting: deque[asyncio.Task[pb.PredictArrowResponse]] = deque()
        try:
            for part in jobs.iter_slices(chunk_jobs):
                request = table_request(
                    part, partial=partial, confidence_level=confidence_level, quantiles=quantiles
                )
                waiting.append(asyncio.create_task(self._predict_table(request)))
                # One more than there are connections: while one table travels others are scored.
                if len(waiting) > len(self._channels):
                    yield answer_table(await waiting.popleft())
            while waiting:
                yield answer_table(await waiting.popleft())
        finally:
            for call_ in waiting:
                call_.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _predict_table(self, table: pb.PredictArrowRequest) -> pb.PredictArrowResponse:
        async def once(left_s: float) -> pb.PredictArrowResponse:
            call = self._stub.PredictArrow(_only(table), **self._with(left_s))
            (response,) = [response async for response in call]
            return response

        return await self._call(once)

    async def _predict_batch(self, batch: pb.PredictBatchRequest) -> Iterable[pb.PredictResponse]:
        response: pb.PredictBatchResponse = await self._call(
            lambda left_s: self._stub.PredictBatch(batch, **self._with(left_s))
        )
        return response.predictions

    async def stream(self, jobs: AsyncIterable[Job] | Iterable[Job]) -> AsyncIterator[Answer]:
        """Predict jobs as they come; yield one answer for each, in order.

        Has no deadline and is not made again: who streams knows what was answered already. Raises
        what `jobs` raises.
        """
        source = _Source(jobs)
        call = self._stub.PredictStream(aiter(source), metadata=self._metadata())
        try:
            async for response in call:
                yield codec.answer(response)
        except grpc.aio.AioRpcError as error:
            raise service_error(error, self.target, self.timeout_s) from error
        except asyncio.CancelledError:
            if source.error is not None:
                raise source.error from None
            raise
        finally:
            call.cancel()

    async def record(
        self, outcomes: "Iterable[Outcome] | pl.DataFrame", *, call_outcomes: int = CALL_OUTCOMES
    ) -> Recorded:
        """Record finished jobs, in calls of at most `call_outcomes`; they are on disk afterwards.

        A frame has columns of `JOB_SCHEMA`, not necessarily all. A call is made again where that
        may help, which is safe: what is recorded already counts as a duplicate. Raises ServiceError
        where the service has no history or cannot write it; earlier calls are recorded then.
        """
        whole, sent = Recorded(), 0
        messages = codec.outcome_messages(outcomes, MESSAGE_OUTCOMES)
        while call := list(islice(messages, max(call_outcomes // MESSAGE_OUTCOMES, 1))):
            whole += codec.recorded(await self._record(call), sent)
            sent += sum(len(message.outcomes) for message in call)
        return whole

    async def record_events(
        self, events: "Iterable[Event] | pl.DataFrame", *, call_events: int = CALL_OUTCOMES
    ) -> Recorded:
        """Record what happened to jobs, in calls of at most `call_events`; as `record`.

        A frame has columns of `EVENT_SCHEMA`, not necessarily all.
        """
        whole, sent = Recorded(), 0
        messages = codec.event_messages(events, MESSAGE_OUTCOMES)
        while call := list(islice(messages, max(call_events // MESSAGE_OUTCOMES, 1))):
            whole += codec.recorded(await self._record_events(call), sent)
            sent += sum(len(message.events) for message in call)
        return whole

    async def _record(
        self, messages: Iterable[pb.RecordOutcomesRequest]
    ) -> pb.RecordOutcomesResponse:
        return await self._call(
            lambda left_s: self._stub.RecordOutcomes(iter(messages), **self._with(left_s))
        )

    async def _record_events(
        self, messages: Iterable[pb.RecordEventsRequest]
    ) -> pb.RecordEventsResponse:
        return await self._call(
            lambda left_s: self._stub.RecordEvents(iter(messages), **self._with(left_s))
        )

    async def model_info(self) -> ModelInfo:
        """Return the model that is loaded, and its figures."""
        request = pb.GetModelInfoRequest()
        return codec.model_info(
            await self._call(lambda left_s: self._stub.GetModelInfo(request, **self._with(left_s)))
        )

    async def reload_model(self) -> Reloaded:
        """Has the service load the bundle in its folder anew, without a stop.

        Give the client a `timeout_s` of minutes: workers are started one after the other.
        """
        request = pb.ReloadModelRequest()
        return codec.reloaded(
            await self._call(lambda left_s: self._stub.ReloadModel(request, **self._with(left_s)))
        )

    async def health(self) -> Health:
        """Return the health of the service, part by part."""
        request = pb.HealthCheckRequest()
        return codec.health(
            await self._call(lambda left_s: self._stub.HealthCheck(request, **self._with(left_s)))
        )

    async def is_serving(self, service: str = SERVICE) -> bool:
        """Return whether the service is ready (its full name) or alive (""), by grpc.health.v1."""
        request = health_pb2.HealthCheckRequest(service=service)
        answer = await self._call(lambda left_s: self._health.Check(request, **self._with(left_s)))
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def _with(self, left_s: float) -> dict[str, Any]:
        """Return the metadata of one attempt of a call."""
        return {"timeout": left_s, "metadata": self._metadata()}

    async def _call(self, attempt: Callable[[float], Awaitable[_T]]) -> _T:
        """Make a call, again with back-off while the service says that this may help."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self.timeout_s
        backoff_s = _BACKOFF_S
        attempts_left = self._attempts
        while True:
            attempts_left -= 1
            try:
                return await attempt(max(deadline - clock(), 0.0))
            except grpc.aio.AioRpcError as error:
                wait_s = retry_wait_s(error, backoff_s)
                late = wait_s is not None and clock() + wait_s >= deadline
                if wait_s is None or late or not attempts_left:
                    if late and was_ended(error):  # by its deadline, as far as can be known
                        raise late_error(self.target, self.timeout_s) from error
                    raise service_error(error, self.target, self.timeout_s) from error
            await asyncio.sleep(wait_s)
            backoff_s *= 2


async def _only(message: _T) -> AsyncIterator[_T]:
    yield message


class _Source:
    """The messages of a stream, and what went wrong where the jobs come from.

    gRPC turns an error of its request iterator into a cancellation, and keeps the error to itself.
    """

    def __init__(self, jobs: AsyncIterable[Job] | Iterable[Job]) -> None:
        self._jobs = jobs
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[pb.PredictRequest]:
        try:
            if isinstance(self._jobs, AsyncIterable):
                async for job in self._jobs:
                    yield codec.request(job)
            else:
                for job in self._jobs:
                    yield codec.request(job)
        except Exception as error:
            self.error = error
            raise
