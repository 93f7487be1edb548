"""The columns of a job: what is known at submit, and what is known once it has ended.

One job frame is a Polars frame with the columns of `REQUEST_SCHEMA` (a job to be predicted) or of
`JOB_SCHEMA` (a finished job of a log). Missing is null, never a sentinel. Units: seconds (UTC
epoch for times), megabytes (MiB, as Slurm counts them) for the whole job, counts of cores, nodes
and GPUs for the whole job.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

REQUEST_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "submit_time": pl.Float64,
    "processors_req": pl.Float64,
    "nodes_req": pl.Float64,
    "mem_req": pl.Float64,
    "gpus_req": pl.Float64,
    "time_req": pl.Float64,
    "partition": pl.String,
    "qos": pl.String,
    "user": pl.String,
    "account": pl.String,
    "job_name": pl.String,
}
"""What is known of a job when it is submitted: column name -> Polars type."""

OUTCOME_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "job_id": pl.String,
    "start_time": pl.Float64,
    "end_time": pl.Float64,
    "runtime": pl.Float64,
    "state": pl.String,
}
"""What is known only later. Never an input of a prediction for the same job."""

JOB_SCHEMA: Mapping[str, type[pl.DataType]] = {**REQUEST_SCHEMA, **OUTCOME_SCHEMA}
"""One finished job of a log: the request and its outcome."""


def numbers(jobs: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """A column of numbers: [n], NaN where it is null."""
    return jobs[name].fill_null(float("nan")).to_numpy()
