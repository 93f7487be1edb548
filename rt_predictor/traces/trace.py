"""What a job log becomes: one frame of finished jobs, and an account of everything left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import polars as pl

from rt_predictor.errors import UsageError
from rt_predictor.jobs.schema import JOB_SCHEMA, REQUEST_SCHEMA
from rt_predictor.traces.column_map import ColumnMap


class TraceFormat(StrEnum):
    """The job-log formats that can be read."""

    SWF = "swf"
    SACCT = "sacct"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True)
class MalformedLine:
    """One record that could not be read.

    `line` counts from 1. It is the line of a text log, the record of a CSV file (the header is
    1), the row of a Parquet file. `text` is the start of the record, fit to print.
    """

    path: Path
    line: int
    reason: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}: {self.text!r}"


def _is_timezone(name: str) -> bool:
    # Polars ships its own zone table, so this also holds where the system has none.
    try:
        pl.select(pl.lit(datetime(2000, 1, 1)).dt.replace_time_zone(name))
    except pl.exceptions.PolarsError:
        return False
    return bool(name)


@dataclass(frozen=True)
class ReadOptions:
    """How to read a job log, where the log itself does not say.

    fields: the columns of sacct text without a header line, e.g. ("JobIDRaw", "User", "Submit").
    timezone: IANA name of the zone of times that carry none (sacct, CSV, Parquet).
    columns: where a CSV or Parquet file keeps what; None recognises the known headers.
    drop: request columns to empty, for a log in which they hold something else.
    max_malformed_share: more malformed records than this share and the log is refused.
    may_be_empty: whether a log without a finished job is no error.
    limits_enforced: whether jobs are ended at their time limit: then those long over it are
        quarantined.
    home_cluster: the cluster whose jobs are the same with its name or without; "" for none.

    Raises UsageError where a value makes no sense.
    """

    fields: tuple[str, ...] = ()
    timezone: str = "UTC"
    columns: ColumnMap | None = None
    drop: frozenset[str] = frozenset()
    max_malformed_share: float = 0.05
    limits_enforced: bool = False
    home_cluster: str = ""
    may_be_empty: bool = False

    def __post_init__(self) -> None:
        if not _is_timezone(self.timezone):
            raise UsageError(
                f"unknown time zone {self.timezone!r}: give an IANA name such as Europe/Paris"
            )
        droppable = REQUEST_SCHEMA.keys() - {"submit_time"}
        if unknown := sorted(self.drop - droppable):
            raise UsageError(
                f"cannot drop column {unknown[0]!r}: choose from {', '.join(sorted(droppable))}"
            )
        if not 0 <= self.max_malformed_share <= 1:
            raise UsageError(
                f"max_malformed_share = {self.max_malformed_share:g}: must be from 0 to 1"
            )


DEFAULT_OPTIONS = ReadOptions()

NO_JOBS = pl.DataFrame(schema=dict(JOB_SCHEMA))


@dataclass(frozen=True)
class Trace:
    """The finished jobs of a job log.

    jobs: the columns of `JOB_SCHEMA`, sorted by submit_time, then in the order of the log.
    lines: records seen; headers, comments and blank lines are none.
    malformed: the first few of the `malformed_count` records that could not be read.
    skipped: why well-formed records carry no finished job -> how many.
    notes: what the reader had to decide, in sentences for the user.
    more_paths: the further files where several were read as one log.
    cancelled: jobs that never started and will not (`JOB_SCHEMA`); they are in `skipped`.
    open: jobs that waited or ran when the log was written (`JOB_SCHEMA`); they are in `skipped`.
    quarantined: jobs that a person should look at (`JOB_SCHEMA`); they are in `skipped`.
    """

    jobs: pl.DataFrame
    format: TraceFormat
    path: Path
    lines: int
    malformed: tuple[MalformedLine, ...] = ()
    malformed_count: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    more_paths: tuple[Path, ...] = ()
    cancelled: pl.DataFrame = field(default_factory=lambda: NO_JOBS)
    open: pl.DataFrame = field(default_factory=lambda: NO_JOBS)
    quarantined: pl.DataFrame = field(default_factory=lambda: NO_JOBS)

    def missing(self) -> dict[str, float]:
        """Share of the jobs (0 to 1) in which each column is missing."""
        nulls = self.jobs.null_count().row(0, named=True)
        return {name: count / max(self.jobs.height, 1) for name, count in nulls.items()}


def request_columns(jobs: pl.DataFrame) -> pl.DataFrame:
    """What was known of the jobs when they were submitted: the columns of `REQUEST_SCHEMA`."""
    return jobs.select(*REQUEST_SCHEMA)
