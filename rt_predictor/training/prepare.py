"""A log prepared to learn from: every job with its tokens from history at its submit."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.features.asked import Asked
from rt_predictor.features.matrix import assemble
from rt_predictor.history.columns import TOLD_ALL, JobColumns, Told, job_columns
from rt_predictor.history.log_tokens import LogTokens, log_tokens
from rt_predictor.jobs.identity import with_ids
from rt_predictor.jobs.rules import null_invalid
from rt_predictor.traces import Trace
from rt_predictor.training.network.batches import LearningLog
from rt_predictor.training.network.twins import Twins, boosted_of_twins, twin_limits_s
from rt_predictor.training.split import Rows, ran

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]

_MANY = 1000
"""Jobs among which some have waited in every log that records waits."""


@dataclass(frozen=True)
class PreparedLog:
    """A log by submit time, and what was known when each of its jobs was submitted.

    Jobs that never ran stay in it, for they waited; `rows` leaves them out.
    """

    name: str
    jobs: pl.DataFrame
    """[n] `JOB_SCHEMA`"""
    columns: JobColumns
    """[n]"""
    tokens: LogTokens
    """[n] as of each job's submit"""
    rows: Rows
    """[m] jobs that ran to their end: those that can be learned from and scored, by submit"""

    def __len__(self) -> int:
        return len(self.jobs)

    @cached_property
    def runtime_s(self) -> Array:
        """[n] of all jobs; NaN where it is not known."""
        return self._numbers("runtime")

    @cached_property
    def limit_s(self) -> Array:
        """[n] NaN for none."""
        return self._numbers("time_req")

    @property
    def submit_s(self) -> Array:
        """[n]"""
        return self.columns.submit_s

    @property
    def end_s(self) -> Array:
        """[n] NaN where it is not known."""
        return self.columns.end_s

    @cached_property
    def asked(self) -> Asked:
        """Jobs as features take them: [n]."""
        return Asked.of(self.columns, self.limit_s)

    def to_learn_from(self, rows: Rows, boosted: Float32, seed: int) -> LearningLog:
        """Return the log as the network learns from it.

        Args:
            rows: jobs that may be learned from.
            boosted: [n, boosters] proposals of boosters for each job, NaN for none.
            seed: of the limits of their twins.
        """
        twins = self._twins(boosted, np.random.default_rng(seed))
        return LearningLog(self.asked, self.tokens, self.runtime_s, rows, boosted, twins)

    def _twins(self, boosted: Float32, random: np.random.Generator) -> Twins:
        limit_s = twin_limits_s(self.limit_s, self.tokens, random)
        jobs = self.jobs.with_columns(time_req=pl.Series(limit_s).fill_nan(None))
        columns = job_columns(jobs)
        tokens = log_tokens(self.columns, columns)
        twins_boosted = boosted_of_twins(boosted, self.limit_s, limit_s)
        return Twins(Asked.of(columns, limit_s), tokens, twins_boosted)

    def inputs(self, rows: Rows) -> Float32:
        """Return the input of the graph for some jobs at their submit: [m, WIDTH]."""
        return assemble(self.asked[rows], self.tokens.gather(rows))

    def ended_before(self, mark_s: float, most: int) -> Rows:
        """Return the jobs that ran and had ended by a time: those that ended last, at most so many.

        By submit.
        """
        rows = self.rows[self.end_s[self.rows] <= mark_s]
        if len(rows) > most:
            rows = np.sort(rows[np.argsort(self.end_s[rows], kind="stable")[-most:]])
        return rows

    def _numbers(self, name: str) -> Array:
        return self.jobs[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def whole_log(trace: Trace) -> pl.DataFrame:
    """Return all jobs of a log that enter history: those that never ran have waited."""
    return pl.concat([trace.jobs, trace.cancelled, trace.open])


def recorded_events(jobs: pl.DataFrame) -> int:
    """Return the events that a log records, as a sum of `Told`: no starts where no job waited.

    Readers take jobs of a log without waits to start at their submit; then nothing is known of
    what ran and waited when.
    """
    started = jobs.filter(pl.col("start_time").is_not_null())
    waited = started.select((pl.col("start_time") > pl.col("submit_time")).any()).item()
    return TOLD_ALL if waited or len(started) < _MANY else Told.ENDED


def prepare_log(jobs: pl.DataFrame, name: str) -> PreparedLog:
    """Sort a log by submit and look up what was known at each.

    Args:
        jobs: the columns of `JOB_SCHEMA`, any order; those without a submit time are left out.
        name: of the log, for the record.
    """
    # Jobs without an id get the one that an import of the log would give them.
    known = with_ids(null_invalid(jobs)).filter(pl.col("submit_time").is_not_null())
    jobs = known.sort("submit_time", maintain_order=True)
    columns = job_columns(jobs, recorded_events(jobs))
    return PreparedLog(name, jobs, columns, log_tokens(columns), np.flatnonzero(ran(jobs)))
