"""Identity of a job: what tells it from every other."""

from collections.abc import Sequence
from hashlib import blake2b

import polars as pl

JOB_IDENTITY = ("cluster", "job_id", "submit_time", "attempt")
"""One attempt of one job. Null clusters are equal; a null attempt is the first, 0.

Ids come again: a cluster counts from 1 after a reset, so the submit time belongs to them.
"""

_OCCURRENCE = " occurrence "
_NAMED_STEP = r"^\d[^.]*\.(batch|extern|interactive)$"
_NUMBERED_STEP = r"^(\d[^.]*)\.\d+$"

_STABLE_ID_COLUMNS = (
    "submit_time",
    "processors_req",
    "nodes_req",
    "mem_req",
    "gpus_req",
    "time_req",
    "partition",
    "qos",
    "user",
    "account",
    "job_name",
    "start_time",
    "end_time",
    "runtime",
    "state",
)
"""Columns that ids are made from. Never to be changed: what is in a log would be recorded again."""


def without_home(home_cluster: str) -> pl.Expr:
    """The cluster of jobs, null for that of home: its jobs are the same with its name or without.

    home_cluster: its name; "" where no name is that of home.
    """
    cluster = pl.col("cluster")
    return pl.when(cluster != home_cluster).then(cluster).alias("cluster")


def with_ids(jobs: pl.DataFrame) -> pl.DataFrame:
    """Give an id to each job (`JOB_SCHEMA`) without one.

    Ids are the same in every import of the same log, and differ between equal jobs of one.
    """
    without = jobs["job_id"].is_null()
    if not without.any():
        return jobs
    occurrence = pl.int_range(pl.len()).over(_STABLE_ID_COLUMNS, mapping_strategy="group_to_rows")
    rows = jobs.select(*_STABLE_ID_COLUMNS, jobs.select(occurrence).to_series().alias("occurrence"))
    ids = pl.Series([_stable_id(row) for row in rows.filter(without).iter_rows()], dtype=pl.String)
    return jobs.with_columns(jobs["job_id"].scatter(without.arg_true(), ids))


def is_step(job_ids: pl.Series) -> pl.Series:
    """Return which ids of a log are those of job steps, as Slurm writes them: [n] booleans.

    123.batch is a step always, 123.0 only beside a job 123: other systems number jobs so.
    """
    ids = job_ids.cast(pl.String)
    parent = ids.str.extract(_NUMBERED_STEP)
    beside = parent.is_in(ids.drop_nulls().unique().implode())
    return (ids.str.contains(_NAMED_STEP) | beside.fill_null(value=False)).fill_null(value=False)


def distinct_jobs(logs: Sequence[pl.DataFrame]) -> tuple[pl.DataFrame, int]:
    """The jobs of several logs (`JOB_SCHEMA`), each once, and how many were there again.

    The same job has the same identity, start and end; the first log's stands. Equal jobs within one
    log are several: ids of tasks of arrays may be that of the whole.
    """
    key = [*JOB_IDENTITY, "array_task_id", "start_time", "end_time", "user", _OCCURRENCE]
    occurrence = pl.int_range(pl.len()).over(key[:-1], mapping_strategy="group_to_rows")
    every = pl.concat([log.with_columns(occurrence.alias(_OCCURRENCE)) for log in logs])
    jobs = every.unique(key, keep="first", maintain_order=True).drop(_OCCURRENCE)
    return jobs, len(every) - len(jobs)


def _stable_id(row: tuple[object, ...]) -> str:
    return "row-" + blake2b(repr(row).encode(), digest_size=12).hexdigest()
