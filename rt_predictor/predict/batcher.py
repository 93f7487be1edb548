"""The micro-batcher: jobs of many callers become one run of the model.

A run costs about as much for eight jobs as for one, so jobs that wait are scored together. Nothing
waits for a timer. A caller who is alone is answered at once, on the event loop, without a task or
a thread between.

But while the loop scores it takes in nothing, and gRPC hands calls over one by one: it would go on
one by one however many wait outside. So every few runs one is gathered: it starts once a few turns
of the loop have brought nobody else; and as long as others come, all are.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import cast

import polars as pl

from rt_predictor.errors import DeadlineExceededError, OverloadedError
from rt_predictor.jobs.schema import FEW_JOBS, Row
from rt_predictor.observability.spans import CallSpan, model_run, queued, step
from rt_predictor.predict.dispatch import LANES, Dispatcher, Failed, Parts, Scored

MAX_BATCH_JOBS = 512
"""Jobs of one run at most: about as long as another caller may wait for it."""
LONG_RUN_JOBS = FEW_JOBS
"""From so many jobs on a run takes so long that another one is started beside it."""
INLINE_RUNS = 7
"""Runs of callers who are alone, at most, until one is gathered to see whether others come."""
GATHER_TURNS = 16
"""Turns of the event loop that bring nobody before a gathered run starts: about 0.1 ms."""
RETRY_AFTER_S = 0.1
"""What a caller for whom there is no room is told to wait: the time of some runs."""


@dataclass(eq=False)
class _Waiting:
    """The jobs of one caller, until a run takes them or the caller leaves."""

    rows: Sequence[Row]
    found: asyncio.Future[Parts]
    deadline_s: float | None
    """By the event loop's clock."""
    more_coming: bool
    span: CallSpan | None
    """Of the caller, where it is traced."""


class Batcher:
    """Brings jobs to the predictor, those that wait together. Used by one event loop."""

    def __init__(self, dispatcher: Dispatcher, *, max_waiting_jobs: int) -> None:
        self._dispatcher = dispatcher
        self._max_waiting_jobs = max_waiting_jobs
        self._queue: deque[_Waiting] = deque()
        self._waiting_jobs = 0
        self._runs: dict[asyncio.Task[None], int] = {}
        self._gathering = False
        self._gathered = 0
        self._quiet_turns = 0
        self._inline_runs = 0
        self._inline_left = 0
        self._turn_taken = False

    async def score(
        self, rows: Sequence[Row], *, remaining_s: float | None = None, more_coming: bool = False
    ) -> Parts:
        """Answers some jobs, together with those of others.

        Args:
            rows: valid jobs.
            remaining_s: time until the caller's deadline.
            more_coming: the caller has more jobs on their way: the event loop is left free to read
                them meanwhile.

        Raises OverloadedError where too many jobs wait, and DeadlineExceededError where the
        deadline passes first; then the model does not see the jobs.
        """
        if not rows:
            return ()
        if self._waiting_jobs + len(rows) > self._max_waiting_jobs and self._waiting_jobs:
            raise OverloadedError(RETRY_AFTER_S)
        loop = asyncio.get_running_loop()
        expired = remaining_s is not None and remaining_s <= 0
        if not (more_coming or expired) and self._stays_here(len(rows)):
            loop.call_soon(self._take_a_turn)
            span = queued()
            if span is None:
                return self._dispatcher.predict_now(rows)
            with model_run([span], len(rows)):
                return self._dispatcher.predict_now(rows)
        deadline_s = None if remaining_s is None else loop.time() + remaining_s
        waiting = _Waiting(rows, loop.create_future(), deadline_s, more_coming, queued())
        self._queue.append(waiting)
        self._waiting_jobs += len(rows)
        self._start_soon()
        try:
            return await waiting.found
        except asyncio.CancelledError:
            self._leave(waiting)
            raise

    async def score_many(self, jobs: pl.DataFrame) -> Parts:
        """Answers many jobs of one caller by themselves; `jobs` as `PredictorPort` takes them."""
        with step("predict", len(jobs)):
            return await self._dispatcher.predict(jobs)

    def _leave(self, waiting: _Waiting) -> None:
        """Gives the room of a caller that left back, if it is still held."""
        try:
            self._queue.remove(waiting)
        except ValueError:
            return
        self._waiting_jobs -= len(waiting.rows)

    def _start_soon(self) -> None:
        free = len(self._runs) < LANES and min(self._runs.values(), default=LONG_RUN_JOBS)
        if self._queue and not self._gathering and free >= LONG_RUN_JOBS:
            self._gathering = True
            self._gathered = self._quiet_turns = 0
            asyncio.get_running_loop().call_soon(self._gather)

    def _gather(self) -> None:
        """Start a run, once a few turns have brought nobody or there are enough for one."""
        if len(self._queue) != self._gathered:
            self._gathered, self._quiet_turns = len(self._queue), 0
        self._quiet_turns += 1
        if self._quiet_turns <= GATHER_TURNS and 0 < self._waiting_jobs < FEW_JOBS:
            asyncio.get_running_loop().call_soon(self._gather)
            return
        self._gathering = False
        self._start()

    def _start(self) -> None:
        batch = list(self._take())
        if not batch:
            return
        rows = list(itertools.chain.from_iterable(waiting.rows for waiting in batch))
        if len(rows) <= FEW_JOBS and not any(waiting.more_coming for waiting in batch):
            self._run_here(batch, rows)
            return
        run = asyncio.get_running_loop().create_task(self._run_elsewhere(batch, rows))
        self._runs[run] = len(rows)
        run.add_done_callback(self._ended)

    def _ended(self, run: asyncio.Task[None]) -> None:
        if self._runs.pop(run, 0):
            self._start_soon()

    def _take(self) -> Iterator[_Waiting]:
        """Those who have waited longest, as many as one run may have; without the expired."""
        now_s = asyncio.get_running_loop().time()
        jobs = 0
        while self._queue and (not jobs or jobs + len(self._queue[0].rows) <= MAX_BATCH_JOBS):
            waiting = self._queue.popleft()
            self._waiting_jobs -= len(waiting.rows)
            if waiting.found.done():
                continue
            if waiting.deadline_s is not None and waiting.deadline_s <= now_s:
                waiting.found.set_exception(DeadlineExceededError())
                continue
            jobs += len(waiting.rows)
            yield waiting

    def _run_here(self, batch: Sequence[_Waiting], rows: Sequence[Row]) -> None:
        try:
            with _traced_run(batch, len(rows)):
                parts = self._dispatcher.predict_now(rows)
        except Exception as error:
            _fail(batch, error)
        else:
            self._look_round(alone=len(batch) == 1 and not self._queue)
            _hand_out(batch, parts)
        self._start_soon()

    async def _run_elsewhere(self, batch: Sequence[_Waiting], rows: Sequence[Row]) -> None:
        try:
            with _traced_run(batch, len(rows)):
                parts = await self._dispatcher.predict_meanwhile(rows)
            self._look_round(alone=len(batch) == 1 and not self._queue)
            # Before its callers go on: one that asks again at once finds nobody in its way.
            self._ended(cast("asyncio.Task[None]", asyncio.current_task()))
            _hand_out(batch, parts)
        except asyncio.CancelledError:
            for waiting in batch:
                waiting.found.cancel()
            raise
        except Exception as error:
            _fail(batch, error)

    def _stays_here(self, jobs: int) -> bool:
        """Whether jobs are scored on the event loop, at once: a few, while no others wait.

        Once a turn of the loop: what else is ready in it is scored together.
        """
        busy = self._queue or self._runs or self._turn_taken
        if busy or jobs > FEW_JOBS or not self._inline_left:
            return False
        self._inline_left -= 1
        self._turn_taken = True
        return True

    def _take_a_turn(self) -> None:
        self._turn_taken = False

    def _look_round(self, *, alone: bool) -> None:
        """After a gathered run: the more callers in a row were alone, the more are not gathered."""
        self._inline_runs = min(2 * self._inline_runs + 1, INLINE_RUNS) if alone else 0
        self._inline_left = self._inline_runs


def _traced_run(batch: Sequence[_Waiting], jobs: int) -> AbstractContextManager[None]:
    traced = [waiting.span for waiting in batch if waiting.span is not None]
    return model_run(traced, jobs) if traced else nullcontext()


def _hand_out(batch: Sequence[_Waiting], parts: Parts) -> None:
    shares = shared(parts, [len(waiting.rows) for waiting in batch])
    for waiting, share in zip(batch, shares, strict=True):
        if not waiting.found.done():
            waiting.found.set_result(share)


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.found.done():
            waiting.found.set_exception(error)


def shared(parts: Parts, sizes: Sequence[int]) -> Iterator[Parts]:
    """The parts of each of several callers whose jobs lie one after the other, by their numbers."""
    if len(sizes) == 1:
        yield parts
        return
    waiting = deque(parts)
    start = 0
    for size in sizes:
        stop = start + size
        share: list[Scored | Failed] = []
        while waiting and waiting[0].rows.start < stop:
            part = waiting[0]
            share.append(part.within(start, stop))
            if part.rows.stop > stop:
                break
            waiting.popleft()
        yield share
        start = stop
