"""Jobs that are asked for, as history and features take them, whichever way they come."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from rt_predictor.features.asked import Asked
from rt_predictor.history.asked_tokens import AskedTokens, joined
from rt_predictor.history.columns import AskedJob, JobColumns, Times, asked_job, job_columns
from rt_predictor.history.job_store import JobStore
from rt_predictor.jobs.schema import Jobs, numbers
from rt_predictor.model.distribution import Float64

_FEW = 12
"""Jobs that history is asked for one by one: of more together it tells in less time."""


@dataclass(frozen=True)
class AskedJobs:
    """n jobs."""

    jobs: Jobs
    asked: Asked
    at_s: Times
    """[n] the time that each question is about"""
    elapsed_s: Float64 | None
    """[n] how long each has run, NaN for not started; None where none has"""
    _known: list[AskedJob] | JobColumns

    @classmethod
    def of(cls, jobs: Jobs) -> "AskedJobs":
        """Return jobs with a submit_time, as `PredictorPort.predict` takes them."""
        limit_s = numbers(jobs, "time_req")
        elapsed_s, as_of_s = _optional(jobs, "elapsed"), _optional(jobs, "as_of")
        known: list[AskedJob] | JobColumns
        if isinstance(jobs, pl.DataFrame):
            known = job_columns(jobs)
            asked = Asked.of(known, limit_s)
        else:
            known = [asked_job(row) for row in jobs]
            columns = np.array([job.columns for job in known])
            asked = Asked(columns, np.array([job.submit_s for job in known]), limit_s)
        at_s = asked.submit_s
        if as_of_s is not None:
            at_s = np.where(np.isnan(as_of_s), at_s, as_of_s)
        if elapsed_s is not None:
            known = _started(known, at_s - elapsed_s)
        return cls(jobs, asked, at_s, elapsed_s, known)

    def __len__(self) -> int:
        return len(self.asked)

    def tokens(self, store: JobStore) -> AskedTokens:
        """Return what history says of them as of their times."""
        if isinstance(self._known, JobColumns):
            return store.tokens_of(self._known, self.at_s)
        if len(self._known) > _FEW:
            return store.tokens_of(_rows_as_columns(self._known), self.at_s)
        each = zip(self._known, self.at_s.tolist(), strict=True)
        return joined([store.tokens_of_one(job, at_s) for job, at_s in each])

    @property
    def explained(self) -> list[int]:
        """Rows of the jobs that ask why."""
        if isinstance(self.jobs, pl.DataFrame):
            if "explain" not in self.jobs.columns:
                return []
            return self.jobs["explain"].fill_null(value=False).arg_true().to_list()
        return [place for place, row in enumerate(self.jobs) if row.get("explain")]


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


def _started(known: list[AskedJob] | JobColumns, start_s: Times) -> list[AskedJob] | JobColumns:
    """The jobs with their starts [n], by which history tells them from others."""
    if isinstance(known, JobColumns):
        return replace(known, start_s=start_s)
    each = zip(known, start_s.tolist(), strict=True)
    return [job._replace(start_s=started_s) for job, started_s in each]


def _rows_as_columns(rows: list[AskedJob]) -> JobColumns:
    """A few asked jobs together; what became of them is not known."""
    unknown = np.full(len(rows), np.nan)
    return JobColumns(
        submit_s=np.array([row.submit_s for row in rows]),
        start_s=np.array([row.start_s for row in rows]),
        end_s=unknown,
        patience_s=unknown,
        ident=np.zeros(len(rows), dtype=np.uint64),
        told=np.zeros(len(rows), dtype=np.uint8),
        columns=np.array([row.columns for row in rows]),
        keys=np.array([row.keys for row in rows], dtype=np.uint64),
    )
