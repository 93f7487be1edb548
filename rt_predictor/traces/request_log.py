"""What a log says of jobs at their submit: each in its place, with what cannot be read of it."""

from dataclasses import dataclass

import polars as pl

from rt_predictor.jobs.normal import normal_texts
from rt_predictor.jobs.rules import null_invalid
from rt_predictor.jobs.schema import JOB_SCHEMA, REQUEST_SCHEMA
from rt_predictor.jobs.states import WAITING

REQUEST_LOG_COLUMNS = (*REQUEST_SCHEMA, "job_id", "start_time", "state", "attempt")


@dataclass(frozen=True)
class RequestLog:
    """Jobs of a log in its order, ended or not.

    jobs: `REQUEST_LOG_COLUMNS`, `state` as one word in capitals, `start_time` only of jobs that
        have started, and `malformed` (String: why the record cannot be read, or null). Numbers that
        no valid job has are null: logs write 0 MB for "not requested".
    steps: records of job steps, which are left out.
    """

    jobs: pl.DataFrame
    steps: int

    @classmethod
    def of(cls, records: pl.DataFrame) -> "RequestLog":
        """From records: any of `REQUEST_LOG_COLUMNS`, `malformed`, `skipped` of those left out."""
        kept = records.filter(pl.col("skipped").is_null())
        jobs = kept.select(
            *(
                (pl.col(name) if name in kept.columns else pl.lit(None))
                .cast(JOB_SCHEMA[name])
                .alias(name)
                for name in REQUEST_LOG_COLUMNS
            ),
            "malformed",
        )
        jobs = null_invalid(jobs).with_columns(normal_texts(jobs.columns))
        # Slurm says of a waiting job when it is expected to start.
        waits = pl.col("state").is_in(sorted(WAITING)).fill_null(value=False)
        has_started = ~waits & (pl.col("start_time") > 0)
        jobs = jobs.with_columns(pl.when(has_started).then("start_time").alias("start_time"))
        return cls(jobs, len(records) - len(kept))
