"""Dispatch: small work runs at once on the event loop, large work on a thread.

A thread costs about 0.1 ms, as much as a few jobs; a large batch on the loop would hold up every
other client.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from time import perf_counter
from typing import ParamSpec, TypeVar

import polars as pl

from rt_predictor.jobs.schema import FEW_JOBS, Jobs
from rt_predictor.observability.metrics import Metrics
from rt_predictor.predict.deduplicate import predict_distinct
from rt_predictor.predict.isolation import Parts, answered, predict_isolated
from rt_predictor.predict.port import PredictorPort
from rt_predictor.predict.predictions import Predictions

LANES = 2
"""Runs of the micro-batcher at once: with one, a single job would wait for a stream's chunk."""
_MIN_THREADS = 2
"""One would let a single large batch hold up all others."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


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
