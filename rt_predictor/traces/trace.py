"""Contents of a job log: finished jobs, or jobs at their submit, and what was left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import polars as pl

from rt_predictor.errors import UsageError
from rt_predictor.jobs.normal import normal_texts
from rt_predictor.jobs.rules import null_invalid
from rt_predictor.jobs.schema import JOB_SCHEMA, REQUEST_SCHEMA
from rt_predictor.jobs.states import ACTIVE, WAITING
from rt_predictor.traces.column_map import ColumnMap

REQUEST_LOG_COLUMNS = (*REQUEST_SCHEMA, "job_id", "start_time", "state", "attempt")


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
        quoted = f": {self.text!r}" if self.text else ""
        return f"line {self.line}: {self.reason}{quoted}"


def _is_timezone(name: str) -> bool:
    # Polars ships its own zone table, so this also holds where the system has none.
    try:
        pl.select(pl.lit(datetime(2000, 1, 1)).dt.replace_time_zone(name))
    except pl.exceptions.PolarsError:
        return False
    return bool(name)


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a job log, where the log itself does not say.

    fields: the columns of sacct text without a header line, e.g. ("JobIDRaw", "User", "Submit").
    timezone: IANA name of the zone of times that carry none (sacct, CSV, Parquet).
    columns: where a CSV or Parquet file keeps what; None recognises the known headers.
    drop: request columns to empty, for a log in which they hold something else.
    max_malformed_share: more malformed records than this share and the log is refused.
    may_be_empty: whether a log without a finished job is no error.
    quotes: whether messages quote records that cannot be read, which may name users.
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
    quotes: bool = True

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
    """Return what was known of the jobs at their submit: the columns of `REQUEST_SCHEMA`."""
    return jobs.select(*REQUEST_SCHEMA)


@dataclass(frozen=True)
class RequestLog:
    """Jobs of a log in its order, ended or not.

    jobs: `REQUEST_LOG_COLUMNS`, `state` as one word in capitals, `start_time` only of jobs that
        have started, and `malformed` (String: why the record cannot be read, or null). Numbers that
        no valid job has are null: logs write 0 MB for "not requested".
    steps: records of job steps, which are left out.
    moments: [n] `elapsed` (s) and `as_of` (Unix s) of the jobs that run; null where the log does
        not say for how long, and of other jobs.
    notes: what the log does not say, in sentences for the user.
    """

    jobs: pl.DataFrame
    steps: int
    moments: pl.DataFrame
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, records: pl.DataFrame, written_s: float, notes: Iterable[str] = ()) -> "RequestLog":
        """From records: any of `REQUEST_LOG_COLUMNS`, `malformed`, `skipped` of those left out.

        `elapsed` is how long a job that runs had run at `as_of`; without an `as_of` that is when it
        had run for so long since its start, else `written_s`, when the log was written.
        """
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
        return cls(jobs, len(records) - len(kept), _moments(kept, jobs, written_s), tuple(notes))


def _moments(records: pl.DataFrame, jobs: pl.DataFrame, written_s: float) -> pl.DataFrame:
    """How long those of the jobs run that do, and when that is said."""
    elapsed, as_of = (
        records[name] if name in records.columns else pl.Series([None] * len(records))
        for name in ("elapsed", "as_of")
    )
    told = jobs.select("state", "start_time").with_columns(
        elapsed.cast(pl.Float64).alias("elapsed"), as_of.cast(pl.Float64).alias("as_of")
    )
    runs = pl.col("state").is_in(sorted(ACTIVE)) & (pl.col("elapsed") >= 0)
    reached = pl.col("start_time") + pl.col("elapsed")
    return told.select(
        pl.when(runs).then("elapsed").alias("elapsed"),
        pl.when(runs).then(pl.coalesce("as_of", reached, pl.lit(written_s))).alias("as_of"),
    )
