"""The jobs that features are made of: what they ask for, beside what history says of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.history.columns import COLUMN, Float, JobColumns, Times
from rt_predictor.history.value_ids import NO_CODE

JOBS_AT_ONCE = 256
"""Jobs whose features are made together: what they need fits the processor's cache."""


@dataclass(frozen=True)
class Asked:
    """n jobs that are asked for."""

    columns: Float
    """[n, len(COLUMNS)] as history compares them"""
    submit_s: Times
    """[n] Unix s"""
    limit_s: Times
    """[n] time limits in s, NaN for none: exactly, which its logarithm in `columns` is not"""

    @classmethod
    def of(cls, jobs: JobColumns, limit_s: Times) -> "Asked":
        """Return jobs of a log as ones that are asked for. limit_s: [n] their time limits."""
        return cls(jobs.columns, jobs.submit_s, limit_s)

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> "Asked":
        """Return some of the jobs."""
        return Asked(self.columns[rows], self.submit_s[rows], self.limit_s[rows])

    def with_limits(self, limit_s: Times) -> "Asked":
        """Return the same jobs with other time limits [n], in s."""
        columns = self.columns.copy()
        columns[:, COLUMN["log_limit"]] = np.log(limit_s)
        columns[:, COLUMN["request_id"]] = NO_CODE  # no job is known that asks for just this
        return Asked(columns, self.submit_s, limit_s)
