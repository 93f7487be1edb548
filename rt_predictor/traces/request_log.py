"""What a log says of jobs at their submit: each in its place, with what cannot be read of it."""

from dataclasses import dataclass

import polars as pl

from rt_predictor.jobs.rules import null_invalid
from rt_predictor.jobs.schema import JOB_SCHEMA, REQUEST_SCHEMA
from rt_predictor.traces.records import base_state

REQUEST_LOG_COLUMNS = (*REQUEST_SCHEMA, "job_id", "state")


@dataclass(frozen=True)
class RequestLog:
    """Jobs of a log in its order, ended or not.

    jobs: `REQUEST_SCHEMA`, `job_id`, `state` (one word in capitals, or null), and `malformed`
        (String: why the record cannot be read, or null). Numbers that no valid job has are null:
        logs write 0 MB for "not requested".
    steps: records of job steps, which are left out.
    """

    jobs: pl.DataFrame
    steps: int

    @classmethod
    def of(cls, records: pl.DataFrame) -> "RequestLog":
        """From records: `REQUEST_LOG_COLUMNS`, `malformed`, and `skipped` of those left out."""
        kept = records.filter(pl.col("skipped").is_null())
        jobs = kept.select(
            *(pl.col(name).cast(JOB_SCHEMA[name]) for name in REQUEST_LOG_COLUMNS), "malformed"
        )
        jobs = null_invalid(jobs).with_columns(base_state(pl.col("state")))
        return cls(jobs, len(records) - len(kept))
