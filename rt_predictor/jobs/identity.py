"""What tells a job from every other."""

from hashlib import blake2b

import polars as pl

JOB_IDENTITY = ("cluster", "job_id", "submit_time", "attempt")
"""One attempt of one job. Null clusters are equal; a null attempt is the first, 0.

Ids come again: a cluster counts from 1 after a reset, so the submit time belongs to them.
"""

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
"""What ids are made from. Never to be changed: what is in a log would be recorded again."""


def with_ids(jobs: pl.DataFrame) -> pl.DataFrame:
    """Gives an id to each job (`JOB_SCHEMA`) without one.

    Ids are the same in every import of the same log, and differ between equal jobs of one.
    """
    without = jobs["job_id"].is_null()
    if not without.any():
        return jobs
    occurrence = pl.int_range(pl.len()).over(_STABLE_ID_COLUMNS, mapping_strategy="group_to_rows")
    rows = jobs.select(*_STABLE_ID_COLUMNS, jobs.select(occurrence).to_series().alias("occurrence"))
    ids = pl.Series([_stable_id(row) for row in rows.filter(without).iter_rows()], dtype=pl.String)
    return jobs.with_columns(jobs["job_id"].scatter(without.arg_true(), ids))


def _stable_id(row: tuple[object, ...]) -> str:
    return "row-" + blake2b(repr(row).encode(), digest_size=12).hexdigest()
