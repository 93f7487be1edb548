"""The methods of `rt_predictor.v1.RuntimePredictor`: decode, have scored, encode."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from rt_predictor import __version__
from rt_predictor.api.codec import (
    JobReader,
    Jobs,
    check_batch_id,
    decode_job,
    decode_jobs,
    encode_answer,
    encode_answers,
    encode_batch,
)
from rt_predictor.api.info import encode_description, encode_health
from rt_predictor.api.interceptors import Context
from rt_predictor.api.outcomes import OUTCOMES_AT_ONCE, OutcomeReader, OutcomeTally
from rt_predictor.api.stream import Arrivals, reading
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.errors import DeadlineExceededError, TooLargeError
from rt_predictor.history.history import History
from rt_predictor.observability.memory import resident_memory_bytes
from rt_predictor.observability.metrics import Metrics
from rt_predictor.serving.admission import Admission
from rt_predictor.serving.dispatch import WorkPool
from rt_predictor.serving.health import HealthReport
from rt_predictor.serving.isolation import Failed, PredictMethod, Scored, predict_isolated
from rt_predictor.serving.port import PredictorPort, Scorer


@dataclass(frozen=True)
class Limits:
    """What one client may ask for."""

    batch_jobs: int
    stream_chunk_jobs: int


class RuntimePredictorServicer(pb_grpc.RuntimePredictorServicer):
    """Answers clients; errors become statuses in the interceptor.

    The model is reached through `scorer`; `predictor` only tells what it is, and `served` how many
    jobs it has answered.
    """

    def __init__(
        self,
        predictor: PredictorPort,
        scorer: Scorer,
        history: History,
        *,
        served: Callable[[], int],
        pool: WorkPool,
        admission: Admission,
        report: HealthReport,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self._predictor = predictor
        self._scorer = scorer
        self._history = history
        self._served = served
        self._pool = pool
        self._admission = admission
        self._report = report
        self._metrics = metrics
        self._limits = limits
        self._started_s = time.monotonic()

    async def Predict(  # noqa: N802
        self, request: pb.PredictRequest, context: Context
    ) -> pb.PredictResponse:
        """Predicts one job."""
        job = decode_job(request, time.time)
        _check_deadline(context)
        return encode_answer(request.request_id, await self._scorer.predict(job))

    async def PredictBatch(  # type: ignore[override]  # noqa: N802
        self, request: pb.PredictBatchRequest, context: Context
    ) -> bytes:
        """Predicts many jobs in one run of the model. Returns the answer's bytes (`wire`)."""
        check_batch_id(request.batch_id)
        count = len(request.jobs)
        limit = self._limits.batch_jobs
        if count > limit:
            raise TooLargeError("the number of jobs,", count, limit, "server.max_batch_jobs")
        jobs = await self._pool.run(count, decode_jobs, request.jobs, time.time)
        _check_deadline(context)
        parts = await self._score(jobs, self._scorer.predict)
        version = self._predictor.model_version
        return await self._pool.run(count, encode_batch, request.batch_id, version, jobs, parts)

    async def PredictStream(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[pb.PredictRequest], context: Context
    ) -> None:
        """Predicts jobs as they come; reads and writes through the context."""
        del request_iterator
        arrivals = Arrivals(self._limits.stream_chunk_jobs, lambda: JobReader(time.time))
        async with reading(arrivals, context, self._admission):
            while (reader := await arrivals.take()) is not None:
                jobs = reader.jobs()
                # A client that sends without waiting for answers sends more while these are scored.
                scorer = self._scorer
                predict = scorer.predict_meanwhile if arrivals.flowing else scorer.predict
                parts = await self._score(jobs, predict)
                for answer in await self._pool.run(len(jobs), encode_answers, jobs, parts):
                    await context.write(answer)

    async def RecordOutcomes(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.RecordOutcomesRequest], context: Context
    ) -> pb.RecordOutcomesResponse:
        """Brings finished jobs into the log; reads through the context."""
        del request_iterator
        self._history.check_on()
        tally = OutcomeTally()
        most = self._limits.batch_jobs
        async with reading(
            Arrivals(OUTCOMES_AT_ONCE, lambda: OutcomeReader(most)), context, self._admission
        ) as arrivals:
            while (reader := await arrivals.take()) is not None:
                outcomes = await self._pool.run(len(reader), reader.outcomes, time.time())
                appended = await asyncio.wrap_future(self._history.record(outcomes.events))
                tally.add(outcomes, appended)
                self._metrics.outcomes(appended, len(outcomes.errors))
        return tally.response()

    async def GetModelInfo(  # noqa: N802
        self, request: pb.GetModelInfoRequest, context: Context
    ) -> pb.GetModelInfoResponse:
        """What model is loaded, how good it was, and what it has answered."""
        del request, context
        info = encode_description(self._predictor.describe())
        info.model_version = self._predictor.model_version
        info.confidence_level = self._predictor.confidence_level
        info.uptime_seconds = self._uptime_s()
        info.predictions_served = self._served()
        info.service_version = __version__
        return info

    async def HealthCheck(  # noqa: N802
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        """How the service and its parts are."""
        del request, context
        parts = self._report.parts()
        answer = encode_health(self._report.whole(parts), parts)
        answer.uptime_seconds = self._uptime_s()
        answer.memory_bytes = resident_memory_bytes()
        answer.service_version = __version__
        return answer

    async def _score(self, jobs: Jobs, predict: PredictMethod) -> Sequence[Scored | Failed]:
        for error in jobs.errors.values():
            self._metrics.invalid_job(error.field)
        parts = await predict_isolated(predict, jobs.frame)
        for part in parts:
            if isinstance(part, Failed):
                self._metrics.internal_errors.inc()
        return parts

    def _uptime_s(self) -> float:
        return time.monotonic() - self._started_s


def _check_deadline(context: Context) -> None:
    remaining = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise DeadlineExceededError
