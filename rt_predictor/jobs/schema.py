"""The columns of a job: what is known at submit, and what is known once it has ended.

One job frame is a Polars frame with the columns of `REQUEST_SCHEMA` (a job to be predicted) or of
`JOB_SCHEMA` (a finished job of a log). Missing is null, never a sentinel. Units: seconds (UTC
epoch for times), megabytes (MiB, as Slurm counts them) for the whole job, counts of cores, nodes
and GPUs for the whole job.

A few jobs come as rows instead: to make a frame of one job, and to take its columns out again,
costs as much as to look up all that history says of it.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

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
    "cluster": pl.String,
    "array_job_id": pl.String,
    "array_task_id": pl.String,
    "het_job_id": pl.String,
    "gpu_type": pl.String,
}
"""Columns that are known of a job at its submit: name -> Polars type.

Tasks of an array and components of a heterogeneous job are jobs of their own; `array_job_id` and
`het_job_id` name what they are parts of.
"""

WITHOUT_EFFECT = frozenset({"array_task_id"})
"""Fields of a request that change no answer: the tasks of an array differ in nothing else."""

OUTCOME_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "job_id": pl.String,
    "start_time": pl.Float64,
    "end_time": pl.Float64,
    "runtime": pl.Float64,
    "state": pl.String,
    "attempt": pl.Float64,
}
"""Columns that are known only later. Never an input of a prediction for the same job.

`state` is a word of `jobs.states`; `attempt` counts how often the job had been requeued before.
"""

JOB_SCHEMA: Mapping[str, type[pl.DataType]] = {**REQUEST_SCHEMA, **OUTCOME_SCHEMA}
"""One finished job of a log: the request and its outcome."""


Row: TypeAlias = Mapping[str, float | str | None]
"""One job as the fields of `REQUEST_SCHEMA`, in that order; None where missing."""

Rows: TypeAlias = Sequence[Row]

FEW_JOBS = 32
"""Jobs that stay rows, and are worked on at once; more are columns, and go to a thread."""

Jobs: TypeAlias = pl.DataFrame | Rows
"""Jobs in a frame with the columns of `REQUEST_SCHEMA`, or a few of them in rows."""


def numbers(jobs: Jobs, name: str) -> NDArray[np.float64]:
    """A column of numbers: [n], NaN where it is missing."""
    if isinstance(jobs, pl.DataFrame):
        return jobs.get_column(name).to_numpy()
    return np.array([row[name] for row in jobs], dtype=np.float64)
