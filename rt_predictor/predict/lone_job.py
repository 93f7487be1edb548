"""A job that is asked for alone, as history and features take it."""

from math import isnan, nan
from typing import NamedTuple

from rt_predictor.history.columns import AskedJob, asked_job
from rt_predictor.history.token_keys import USER
from rt_predictor.jobs.schema import Row


class LoneJob(NamedTuple):
    """One job: see `AskedJobs`."""

    row: Row
    known: AskedJob
    at_s: float
    elapsed_s: float
    """NaN where it has not started"""
    limit_s: float

    @classmethod
    def of(cls, row: Row) -> "LoneJob":
        """Return a job with a submit_time."""
        known = asked_job(row)
        elapsed_s, at_s = _optional(row, "elapsed"), _optional(row, "as_of")
        if isnan(at_s):
            at_s = known.submit_s
        if not isnan(elapsed_s):
            known = known._replace(start_s=at_s - elapsed_s)
        return cls(row, known, at_s, elapsed_s, _optional(row, "time_req"))

    @property
    def user(self) -> int:
        """Id of its user, `NO_KEY` for none."""
        return self.known.keys[USER]


def _optional(row: Row, name: str) -> float:
    """Return a number that may not be there; NaN where it is not."""
    value = row.get(name)
    return nan if value is None else float(value)
