"""Jobs that are asked for together, as history and features take them: a frame, or a few rows."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from rt_predictor.features.asked import Asked
from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import JobColumns, Times, asked_columns, asked_job
from rt_predictor.history.job_store import JobStore
from rt_predictor.history.token_keys import USER
from rt_predictor.history.value_ids import Ids
from rt_predictor.jobs.schema import Jobs, Rows, numbers
from rt_predictor.model.distribution import Float64


@dataclass(frozen=True)
class AskedJobs:
    """n jobs."""

    jobs: Jobs
    asked: Asked
    at_s: Times
    """[n] the time that each question is about"""
    elapsed_s: Float64 | None
    """[n] how long each has run, NaN for not started; None where none has"""
    _known: JobColumns

    @classmethod
    def of(cls, jobs: Jobs) -> "AskedJobs":
        """Return jobs with a submit_time, as `PredictorPort.predict` takes them."""
        elapsed_s, as_of_s = _optional(jobs, "elapsed"), _optional(jobs, "as_of")
        known = asked_columns(jobs) if isinstance(jobs, pl.DataFrame) else _columns_of(jobs)
        at_s = known.submit_s
        if as_of_s is not None:
            at_s = np.where(np.isnan(as_of_s), at_s, as_of_s)
        if elapsed_s is not None:
            known = replace(known, start_s=at_s - elapsed_s)
        return cls(jobs, Asked.of(known, numbers(jobs, "time_req")), at_s, elapsed_s, known)

    def __len__(self) -> int:
        return len(self.asked)

    def tokens(self, store: JobStore) -> AskedTokens:
        """Return what history says of them as of their times."""
        return store.tokens_of(self._known, self.at_s)

    @property
    def users(self) -> Ids:
        """[n] ids of their users, `NO_KEY` for none."""
        return self._known.keys[:, USER]

    @property
    def explained(self) -> list[int]:
        """Rows of the jobs that ask why."""
        if isinstance(self.jobs, pl.DataFrame):
            if "explain" not in self.jobs.columns:
                return []
            return self.jobs["explain"].fill_null(value=False).arg_true().to_list()
        return [index for index, row in enumerate(self.jobs) if row.get("explain")]


def _optional(jobs: Jobs, name: str) -> Float64 | None:
    """[n] a column that may not be there; None where no job has a value."""
    if isinstance(jobs, pl.DataFrame):
        if name not in jobs.columns:
            return None
        values = jobs[name].fill_null(np.nan).to_numpy()
    else:
        given = [row.get(name) for row in jobs]
        if given.count(None) == len(given):
            return None
        values = np.array(given, dtype=np.float64)
    return None if np.isnan(values).all() else values


def _columns_of(jobs: Rows) -> JobColumns:
    """Return jobs in rows as columns; what became of them is not known."""
    rows = [asked_job(job) for job in jobs]
    unknown = np.full(len(rows), np.nan)
    return JobColumns(
        submit_s=np.array([row.submit_s for row in rows]),
        start_s=unknown,
        end_s=unknown,
        patience_s=unknown,
        ident=np.zeros(len(rows), dtype=np.uint64),
        told=np.zeros(len(rows), dtype=np.uint8),
        columns=np.array([row.columns for row in rows]),
        keys=np.array([row.keys for row in rows], dtype=np.uint64),
    )
