"""Jobs to measure with, no two alike: trees are quick on a row they have just seen."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.client import Job
from rt_predictor.jobs.rules import null_invalid
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.traces import read_trace
from rt_predictor.traces.generate import generate_jobs

_COUNTS = ("processors_req", "nodes_req", "gpus_req")
_SEED = 11
_SPREAD = 0.2
"""Memory and limit of a job that is drawn lie at most that share from what they were."""


class JobSource:
    """An endless supply of jobs, none of which comes twice."""

    def __init__(self, jobs: pl.DataFrame) -> None:
        """`jobs` has the columns of `REQUEST_SCHEMA`."""
        self._jobs = jobs
        self._random = np.random.default_rng(_SEED)
        self._drawn = 0

    @classmethod
    def generated(cls) -> "JobSource":
        """Made-up jobs."""
        return cls(generate_jobs(50_000, _SEED).select(list(REQUEST_SCHEMA)))

    @classmethod
    def from_log(cls, path: Path) -> "JobSource":
        """The jobs of a log, in an order of chance.

        Raises TraceError where it cannot be read.
        """
        return cls(null_invalid(read_trace(path).jobs.select(list(REQUEST_SCHEMA))))

    def take(self, count: int) -> pl.DataFrame:
        """That many jobs, now submitted; each differs from all that were ever taken."""
        rows = self._random.integers(0, len(self._jobs), count)
        factors = self._random.uniform(1 - _SPREAD, 1 + _SPREAD, (2, count))
        seconds = time.time() + np.arange(self._drawn, self._drawn + count)
        self._drawn += count
        return self._jobs[rows].with_columns(
            pl.Series("submit_time", seconds),
            pl.col("mem_req") * factors[0],
            (pl.col("time_req") * factors[1]).clip(1),
        )

    def messages(self, count: int) -> list[pb.PredictRequest]:
        """That many jobs as messages."""
        rows = self.take(count).iter_rows(named=True)
        return [pb.PredictRequest(**_whole(row), partial=True) for row in rows]

    def client_jobs(self, count: int) -> list[Job]:
        """That many jobs as values of the client."""
        rows = self.take(count).iter_rows(named=True)
        return [Job(**_present(_whole(row)), partial=True) for row in rows]

    def tables(self, count: int, rows: int) -> Iterator[pl.DataFrame]:
        """That many tables."""
        return (self.take(rows) for _ in range(count))


def _present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its counts as whole numbers, as messages have them."""
    counts = {name: int(row[name]) for name in _COUNTS if row[name] is not None}
    return row | counts
