"""Dispatch: small work runs at once on the event loop, large work on a thread.

A thread costs about 0.1 ms, as much as a few jobs; a large batch on the loop would hold up every
other client.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from time import perf_counter
from typing import ParamSpec, TypeVar

import polars as pl

from rt_predictor.jobs.schema import Jobs
from rt_predictor.observability.metrics import Metrics
from rt_predictor.serving.distinct import predict_distinct
from rt_predictor.serving.port import PredictorPort
from rt_predictor.serving.predictions import Predictions

INLINE_JOBS = 64
"""Jobs that are worked on at once; more go to a thread."""
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
        if jobs <= INLINE_JOBS:
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

    async def predict(self, jobs: Jobs) -> Predictions:
        """Answers jobs in order, at once if they are few; raises what the predictor raises."""
        return await self._counted(len(jobs), self._pool.run(len(jobs), self._predict, jobs))

    async def predict_meanwhile(self, jobs: Jobs) -> Predictions:
        """Answers jobs in order, on a thread that no large work uses; raises likewise."""
        return await self._counted(len(jobs), self._lanes.run_on_thread(self._predict, jobs))

    def close(self) -> None:
        """Drops what waits for a thread of its own."""
        self._lanes.close()

    async def _counted(self, jobs: int, work: Coroutine[None, None, Predictions]) -> Predictions:
        in_flight = self._metrics.jobs_in_flight
        in_flight.inc(jobs)
        try:
            predictions = await work
        finally:
            in_flight.dec(jobs)
        self.predicted += jobs
        return predictions

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
        self._metrics.predicted(predictions, perf_counter() - started)
        return predictions
