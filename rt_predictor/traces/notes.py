"""What the reader of a table tells of it: what it did not read, and what is missing."""

from collections.abc import Iterator, Sequence

import polars as pl

from rt_predictor.jobs.names import unread_columns

_MAIN_FIELDS = (
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
)
"""Fields of a request that make predictions better where they are known."""


def read_notes(unread: Sequence[str], jobs: pl.DataFrame) -> Iterator[str]:
    """Notes on the columns of a file that are not read, and on fields that no job has.

    `jobs` has the columns of `JOB_SCHEMA`.
    """
    yield from unread_notes(unread, jobs)
    empty = _empty_columns(jobs)
    if missing := [name for name in _MAIN_FIELDS if name in empty]:
        yield f"no job has {', '.join(missing)}"


def unread_notes(unread: Sequence[str], jobs: pl.DataFrame) -> Iterator[str]:
    """A note on the columns of a file that are not read, each with the field that it may be."""
    if unread:
        yield f"columns that are not read: {unread_columns(unread, _empty_columns(jobs))}"


def _empty_columns(jobs: pl.DataFrame) -> list[str]:
    nulls = jobs.null_count().row(0, named=True)
    return [name for name in nulls if nulls[name] == jobs.height]
