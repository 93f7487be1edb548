"""Dispatch: small work runs at once on the event loop, large work on a thread.

A thread costs about 0.1 ms, as much as a few jobs; a large batch on the loop would hold up every
other client.

A job on which the model fails costs its neighbours nothing but time. Valid jobs should never make
the model fail. Where jobs are scored together and one of them does, halving finds it; the others
are answered.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from time import perf_counter
from typing import ParamSpec, TypeVar

import polars as pl

from rt_predictor.errors import DeadlineExceededError, DrainingError, OverloadedError
from rt_predictor.jobs.schema import FEW_JOBS, Jobs
from rt_predictor.observability.metrics import Metrics
from rt_predictor.predict.deduplicate import predict_distinct
from rt_predictor.predict.port import PredictorPort
from rt_predictor.predict.predictions import Predictions

LANES = 2
"""Runs of the micro-batcher at once: with one, a single job would wait for a stream's chunk."""
_MIN_THREADS = 2
"""One would let a single large batch hold up all others."""

Predict = Callable[[Jobs], Predictions]
"""Answers all jobs or raises what stands in the way of one."""

MAX_FAILURES = 64
"""Failed runs of one request after which what is left counts as failed: the model itself is ill."""

_OF_THE_CALL = (DeadlineExceededError, DrainingError, OverloadedError)
"""Errors that say nothing of the jobs."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Scored:
    """Neighbouring rows that were answered."""

    rows: range
    predictions: Predictions
    """Of these rows, and maybe of others beside them"""
    first: int = 0
    """Index in `predictions` of the first row"""

    @property
    def own(self) -> Predictions:
        """The predictions of these rows alone."""
        if len(self.predictions) == len(self.rows):
            return self.predictions
        return self.predictions.part(self.first, self.first + len(self.rows))

    def within(self, start: int, stop: int) -> "Scored":
        """What of it lies from `start` to before `stop`, counted from `start`."""
        first, last = max(self.rows.start, start), min(self.rows.stop, stop)
        skipped = first - self.rows.start
        return Scored(range(first - start, last - start), self.predictions, self.first + skipped)


@dataclass(frozen=True)
class Failed:
    """Neighbouring rows on which the model failed."""

    rows: range
    error: Exception

    def within(self, start: int, stop: int) -> "Failed":
        """What of it lies from `start` to before `stop`, counted from `start`."""
        first, last = max(self.rows.start, start), min(self.rows.stop, stop)
        return Failed(range(first - start, last - start), self.error)


Parts = Sequence[Scored | Failed]
"""What was found for all jobs of one caller, in order."""


def answered(parts: Parts) -> int:
    """Return how many jobs were answered."""
    return sum(len(part.rows) for part in parts if isinstance(part, Scored))


def predict_isolated(predict: Predict, jobs: Jobs) -> Parts:
    """Answer every job that can be answered; the parts cover all rows of `jobs` in order.

    Raises OverloadedError, DrainingError and DeadlineExceededError of `predict`.
    """
    try:
        return (Scored(range(len(jobs)), predict(jobs)),) if len(jobs) else ()
    except _OF_THE_CALL:
        raise
    except Exception as error:
        return _halved(predict, jobs, error)


def _halved(predict: Predict, jobs: Jobs, error: Exception) -> list[Scored | Failed]:
    """Answer jobs of which all together failed with an error."""
    if len(jobs) == 1:
        return [Failed(range(1), error)]
    half = len(jobs) // 2
    waiting = [range(half, len(jobs)), range(half)]
    found: list[Scored | Failed] = []
    failures = 1
    while waiting:
        rows = waiting.pop()
        try:
            found.append(Scored(rows, predict(jobs[rows.start : rows.stop])))
        except _OF_THE_CALL:
            raise
        except Exception as cause:
            failures += 1
            if len(rows) == 1 or failures >= MAX_FAILURES:
                found.append(Failed(rows, cause))
            else:
                half = len(rows) // 2
                waiting += [rows[half:], rows[:half]]
    return found


class WorkPool:
    """Threads for large work."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(
            threads or max(_MIN_THREADS, os.cpu_count() or 1), "rt-predictor-work"
        )

    async def run(
        self, jobs: int, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Runs work on that many jobs, at once or on a thread."""
        if jobs <= FEW_JOBS:
            return work(*args, **kwargs)
        return await self.run_on_thread(work, *args, **kwargs)

    async def run_on_thread(
        self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Runs work on a thread, in the caller's context. Cancelled before, it never runs."""
        loop, context = asyncio.get_running_loop(), copy_context()
        return await loop.run_in_executor(self._threads, lambda: context.run(work, *args, **kwargs))

    def close(self) -> None:
        """Drops the work that waits for a thread; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Dispatcher:
    """Brings jobs to the predictor as they come, and counts what it answers."""

    def __init__(self, predictor: PredictorPort, pool: WorkPool, metrics: Metrics) -> None:
        self._predictor = predictor
        self._pool = pool
        self._lanes = WorkPool(LANES)
        self._metrics = metrics
        self.predicted = 0
        self.failing = False
        """Whether the last run of the model failed."""

    def predict_now(self, jobs: Jobs) -> Parts:
        """Answer jobs in order, on this thread."""
        in_flight = self._metrics.jobs_in_flight
        in_flight.inc(len(jobs))
        try:
            parts = predict_isolated(self._predict, jobs)
        finally:
            in_flight.dec(len(jobs))
        self.predicted += answered(parts)
        return parts

    async def predict(self, jobs: Jobs) -> Parts:
        """Answer jobs in order, at once if they are few."""
        if len(jobs) <= FEW_JOBS:
            return self.predict_now(jobs)
        return await self._elsewhere(self._pool, jobs)

    async def predict_meanwhile(self, jobs: Jobs) -> Parts:
        """Answer jobs in order, on a thread that no large work uses."""
        return await self._elsewhere(self._lanes, jobs)

    def close(self) -> None:
        """Drops what waits for a thread of its own."""
        self._lanes.close()

    async def _elsewhere(self, pool: WorkPool, jobs: Jobs) -> Parts:
        in_flight = self._metrics.jobs_in_flight
        in_flight.inc(len(jobs))
        try:
            parts = await pool.run_on_thread(predict_isolated, self._predict, jobs)
        finally:
            in_flight.dec(len(jobs))
        self.predicted += answered(parts)
        return parts

    def _predict(self, jobs: Jobs) -> Predictions:
        started = perf_counter()
        try:
            predictions = predict_distinct(self._predictor.predict, jobs)
        except Exception:
            self.failing = True
            raise
        except pl.exceptions.PanicException as error:
            # Not an Exception: it would pass by all that keeps one job from harming another.
            self.failing = True
            raise RuntimeError("Polars failed on these jobs") from error
        self.failing = False
        self._metrics.predicted(predictions.flags, perf_counter() - started)
        return predictions
