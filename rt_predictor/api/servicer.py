"""The methods of `rt_predictor.v1.RuntimePredictor`: decode, have scored, encode."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from rt_predictor import __version__
from rt_predictor.api.admission import Admission
from rt_predictor.api.answer_bytes import answer_bytes
from rt_predictor.api.arrow import MAX_ROWS_SETTING, JobTable, Question, decode_table, encode_table
from rt_predictor.api.call import calling_client
from rt_predictor.api.codec import (
    JobReader,
    check_batch_id,
    decode_job,
    decode_jobs,
    decode_many,
    encode_answers,
    encode_batch,
)
from rt_predictor.api.events import (
    EVENTS_AT_ONCE,
    EventTally,
    JobEventReader,
    Origin,
    OutcomeReader,
)
from rt_predictor.api.info import encode_description, encode_health, encode_live, encode_shadow
from rt_predictor.api.large_messages import answered, worked_on
from rt_predictor.api.middleware import Context
from rt_predictor.api.ordered_map import ordered_map
from rt_predictor.api.reload import ReloadModel
from rt_predictor.api.stream import Arrivals, Tables, reading
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.api.v1 import rt_predictor_pb2_grpc as pb_grpc
from rt_predictor.errors import DeadlineExceededError, InvalidJobError, TooLargeError
from rt_predictor.history.history import History
from rt_predictor.jobs.schema import FEW_JOBS
from rt_predictor.observability.health import HealthReport
from rt_predictor.observability.memory import resident_memory_bytes
from rt_predictor.observability.metrics import Metrics
from rt_predictor.observability.spans import step
from rt_predictor.predict.batcher import Batcher
from rt_predictor.predict.dispatch import Failed, Parts, WorkPool
from rt_predictor.predict.port import PredictorPort
from rt_predictor.shadow.folder import ShadowFolder

TABLES_AT_ONCE = 2
"""Tables of one call that are scored at the same time."""


@dataclass(frozen=True)
class Limits:
    """What one client may ask for."""

    batch_jobs: int
    stream_chunk_jobs: int


class RuntimePredictorServicer(pb_grpc.RuntimePredictorServicer):
    """Answers clients; errors become statuses in the middleware around them.

    The model is reached through `batcher`; `predictor` only tells what it is, and `served` how many
    jobs it has answered.
    """

    def __init__(
        self,
        predictor: PredictorPort,
        batcher: Batcher,
        history: History,
        *,
        shadow: ShadowFolder | None = None,
        reload: ReloadModel,
        served: Callable[[], int],
        pool: WorkPool,
        admission: Admission,
        report: HealthReport,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self._predictor = predictor
        self._batcher = batcher
        self._history = history
        self._shadow = shadow
        self._reload = reload
        self._served = served
        self._pool = pool
        self._admission = admission
        self._report = report
        self._metrics = metrics
        self._limits = limits
        self._started_s = time.monotonic()

    async def Predict(  # type: ignore[override]  # noqa: N802
        self, request: pb.PredictRequest, context: Context
    ) -> bytes:
        """Predicts one job. Returns the answer's bytes (`wire`)."""
        row = decode_job(request, time.time)
        (part,) = await self._batcher.score((row,), remaining_s=_remaining_s(context))
        if isinstance(part, Failed):
            raise part.error
        return answer_bytes(part.predictions, part.first, request.request_id)

    async def PredictBatch(  # type: ignore[override]  # noqa: N802
        self, request: pb.PredictBatchRequest, context: Context
    ) -> bytes:
        """Predicts many jobs together. Returns the answer's bytes (`wire`)."""
        check_batch_id(request.batch_id)
        count = len(request.jobs)
        limit = self._limits.batch_jobs
        if count > limit:
            raise TooLargeError("the number of jobs,", count, limit, MAX_ROWS_SETTING)
        if count <= FEW_JOBS:
            few = decode_jobs(request.jobs, time.time)
            self._count_invalid(few.errors)
            parts = await self._batcher.score(few.valid, remaining_s=_remaining_s(context))
            self._count_failed(parts)
            return encode_batch(request.batch_id, self._predictor.model_version, few, parts)
        on_thread = self._pool.run_on_thread
        jobs = await on_thread(decode_many, request.jobs, time.time)
        self._count_invalid(jobs.errors)
        _remaining_s(context)
        parts = await self._batcher.score_many(jobs.valid)
        self._count_failed(parts)
        version = self._predictor.model_version
        return await on_thread(encode_batch, request.batch_id, version, jobs, parts)

    async def PredictStream(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[pb.PredictRequest], context: Context
    ) -> None:
        """Predicts jobs as they come; reads and writes through the context."""
        del request_iterator
        arrivals = Arrivals(self._limits.stream_chunk_jobs, lambda: JobReader(time.time))
        async with reading(arrivals, context, self._admission):
            while (reader := await arrivals.take()) is not None:
                jobs = reader.jobs()
                self._count_invalid(jobs.errors)
                parts = await self._batcher.score(
                    jobs.valid,
                    remaining_s=_remaining_s(context),
                    more_coming=arrivals.flowing,
                )
                self._count_failed(parts)
                for answer in encode_answers(jobs, parts):
                    await context.write(answer)

    async def RecordOutcomes(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.RecordOutcomesRequest], context: Context
    ) -> pb.RecordOutcomesResponse:
        """Brings finished jobs into the log; reads through the context."""
        del request_iterator
        tally = EventTally(pb.RecordOutcomesResponse())
        await self._record(OutcomeReader, tally, context)
        return tally.response()

    async def RecordEvents(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.RecordEventsRequest], context: Context
    ) -> pb.RecordEventsResponse:
        """Brings events of all kinds into the log; reads through the context."""
        del request_iterator
        tally = EventTally(pb.RecordEventsResponse())
        await self._record(JobEventReader, tally, context)
        return tally.response()

    async def _record(
        self,
        reader_of: type[OutcomeReader] | type[JobEventReader],
        tally: EventTally[Any],
        context: Context,
    ) -> None:
        self._history.check_on()
        most, client = self._limits.batch_jobs, calling_client()
        arrivals: Arrivals[OutcomeReader | JobEventReader] = Arrivals(
            EVENTS_AT_ONCE, partial(reader_of, most)
        )
        async with reading(arrivals, context, self._admission):
            while (reader := await arrivals.take()) is not None:
                messages = worked_on(context)
                origin = Origin(client, time.time())
                events = await self._pool.run(len(reader), reader.events, origin)
                with step("commit", len(events.valid)):
                    appended = await asyncio.wrap_future(self._history.record(events.valid))
                tally.add(events, appended)
                self._metrics.events(events.valid, appended, events.invalid_kinds)
                answered(context, messages)

    async def PredictArrow(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[pb.PredictArrowRequest], context: Context
    ) -> None:
        """Predicts tables as they come; reads and writes through the context.

        What one core does of a table (read it, find identical jobs, write the answers) is done
        beside what all cores do of another.
        """
        del request_iterator
        tables = Tables(context)

        async def answer(table: JobTable) -> pb.PredictArrowResponse:
            _remaining_s(context)
            return await self._score_table(table)

        leave = self._admission.when_draining(tables.drain)
        try:
            asked = self._read_tables(tables)
            async with ordered_map(asked, answer, at_once=TABLES_AT_ONCE) as answers:
                async for found in answers:
                    await context.write(found)
                    answered(context)
        finally:
            leave()

    async def _read_tables(self, tables: Tables) -> AsyncIterator[JobTable]:
        """Each table as it comes."""
        while (request := await tables.take()) is not None:
            yield await self._pool.run_on_thread(
                decode_table,
                request.jobs,
                Question.of(request),
                partial=request.partial,
                max_rows=self._limits.batch_jobs,
                clock=time.time,
            )

    async def _score_table(self, table: JobTable) -> pb.PredictArrowResponse:
        self._count_invalid(table.errors)
        parts = await self._batcher.score_many(table.frame)
        self._count_failed(parts)
        names = self._predictor.member_names
        stream, failed = await self._pool.run_on_thread(encode_table, table, parts, names)
        views = table.question.views(self._predictor.views)
        return pb.PredictArrowResponse(
            predictions=stream,
            model_version=self._predictor.model_version,
            confidence_level=views.level,
            recommendation_confidence=views.confidence,
            failed=failed,
            models=names,
        )

    async def GetModelInfo(  # noqa: N802
        self, request: pb.GetModelInfoRequest, context: Context
    ) -> pb.GetModelInfoResponse:
        """What model is loaded, how good it was, and what it has answered."""
        del request, context
        info = encode_description(self._predictor.describe())
        info.model_version = self._predictor.model_version
        info.confidence_level = self._predictor.views.level
        info.recommendation_confidence = self._predictor.views.confidence
        info.uptime_seconds = self._uptime_s()
        info.predictions_served = self._served()
        info.service_version = __version__
        live = self._predictor.live()
        if live.model_version == self._predictor.model_version:
            info.live.CopyFrom(encode_live(live, self._predictor.views.level))
        report = None if self._shadow is None else self._shadow.latest()
        if report is not None:
            info.shadow.CopyFrom(encode_shadow(report, self._predictor.views.level))
        return info

    async def ReloadModel(  # noqa: N802
        self, request: pb.ReloadModelRequest, context: Context
    ) -> pb.ReloadModelResponse:
        """Has all workers load the bundle anew."""
        del request, context
        done = await self._reload()
        return pb.ReloadModelResponse(old_version=done.old_version, new_version=done.new_version)

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

    def _count_invalid(self, errors: Mapping[int, InvalidJobError]) -> None:
        for error in errors.values():
            self._metrics.invalid_job(error.field)

    def _count_failed(self, parts: Parts) -> None:
        for part in parts:
            if isinstance(part, Failed):
                self._metrics.internal_errors.inc()

    def _uptime_s(self) -> float:
        return time.monotonic() - self._started_s


def _remaining_s(context: Context) -> float | None:
    """Time until the caller's deadline. Raises DeadlineExceededError if it has passed."""
    remaining: float | None = context.time_remaining()
    if remaining is not None and remaining <= 0:
        raise DeadlineExceededError
    return remaining
