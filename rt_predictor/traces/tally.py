"""Tally of a log: its records, gathered block by block, and an account of what is no job."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from rt_predictor.errors import NoJobsError, TraceError
from rt_predictor.jobs.identity import without_home
from rt_predictor.jobs.names import unread_columns
from rt_predictor.jobs.outcomes import screened
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.jobs.states import unknown_states
from rt_predictor.traces.records import cancelled_jobs, open_jobs
from rt_predictor.traces.trace import NO_JOBS, MalformedLine, ReadOptions, Trace, TraceFormat

SHOWN_LINES = 5
SHOWN_CHARS = 80
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


class Tally:
    """The jobs, the malformed lines and the skipped records of one log."""

    def __init__(self, path: Path, format: TraceFormat, options: ReadOptions) -> None:
        self._path = path
        self._format = format
        self._options = options
        self._frames: list[pl.DataFrame] = []
        self._lines = 0
        self._malformed: list[MalformedLine] = []
        self._malformed_count = 0
        self._skipped: Counter[str] = Counter()
        self._cancelled: list[pl.DataFrame] = []
        self._open: list[pl.DataFrame] = []

    def add(self, records: pl.DataFrame, raw: pl.DataFrame) -> None:
        """Take in one block: a record frame, and what it was read from, row by row the same."""
        self._lines += records.height
        malformed = records["malformed"].is_not_null()
        if malformed.any():
            self._malformed_count += int(malformed.sum())
            self._show(records, raw, malformed.arg_true())
        for reason, count in records["skipped"].drop_nulls().value_counts().rows():
            self._skipped[reason] += count
        if records["skipped"].is_not_null().any():
            self._cancelled.append(cancelled_jobs(records))
            self._open.append(open_jobs(records))
        jobs = records.filter(pl.col("malformed").is_null() & pl.col("skipped").is_null())
        self._frames.append(jobs.drop("line", "malformed", "skipped"))

    def skip(self, reason: str, count: int) -> None:
        """Accounts for records that turned out to be no jobs only once all had been read."""
        self._skipped[reason] += count

    def jobs(self) -> pl.DataFrame:
        """The jobs so far, in the order of the log.

        Raises TraceError where too many records are malformed, or none is a finished job.
        """
        self._check_malformed_share()
        jobs = pl.concat(self._frames) if self._frames else pl.DataFrame()
        self._frames.clear()
        self.check_any(jobs)
        return jobs

    def check_any(self, jobs: pl.DataFrame) -> None:
        """Raise NoJobsError where there must be jobs and are none, saying what there is."""
        if not jobs.is_empty() or (self._options.may_be_empty and self._lines):
            return
        if not self._lines:
            raise NoJobsError(f"{self._path} has no records")
        reasons = [f"{reason}: {count}" for reason, count in self._skipped.most_common()]
        if self._malformed_count:
            reasons.append(f"malformed: {self._malformed_count}, {self._malformed[0]}")
        raise NoJobsError(
            f"{self._path}: none of the {self._lines} records is a finished job "
            f"({'; '.join(reasons)})",
            self._malformed_count,
            self._skipped,
        )

    def trace(
        self, jobs: pl.DataFrame, notes: tuple[str, ...] = (), origin_s: float = 0.0
    ) -> Trace:
        """The trace of these jobs; those that are not plausible are left out.

        origin_s: what the log's times count from; it is added to them.

        Raises NoJobsError where no job is left.
        """
        found = screened(
            self._prepared(jobs, origin_s),
            now_s=time.time(),
            limits_enforced=self._options.limits_enforced,
        )
        self._skipped.update(found.reasons)
        self.check_any(found.plausible)
        return Trace(
            jobs=sorted_jobs(found.plausible),
            format=self._format,
            path=self._path,
            lines=self._lines,
            malformed=tuple(self._malformed),
            malformed_count=self._malformed_count,
            skipped=dict(self._skipped),
            notes=(*notes, *_state_notes(found.plausible["state"])),
            cancelled=self._prepared(pl.concat([NO_JOBS, *self._cancelled]), origin_s),
            open=self._prepared(pl.concat([NO_JOBS, *self._open]), origin_s),
            quarantined=found.quarantined,
        )

    def _prepared(self, jobs: pl.DataFrame, origin_s: float) -> pl.DataFrame:
        dropped = [pl.lit(None, JOB_SCHEMA[name]).alias(name) for name in self._options.drop]
        times = pl.col("submit_time", "start_time", "end_time") + origin_s
        cluster = without_home(self._options.home_cluster)
        return jobs.select(*JOB_SCHEMA).with_columns(times, cluster).with_columns(dropped)

    def _show(self, records: pl.DataFrame, raw: pl.DataFrame, rows: pl.Series) -> None:
        for row in rows.head(SHOWN_LINES - len(self._malformed)).to_list():
            values = raw.row(row) if self._options.quotes else ()
            text = ", ".join("" if value is None else str(value) for value in values)
            shown = text[:SHOWN_CHARS] + ("…" if len(text) > SHOWN_CHARS else "")
            self._malformed.append(
                MalformedLine(
                    self._path,
                    int(records["line"][row]),
                    records["malformed"][row],
                    "".join(char if char.isprintable() else "�" for char in shown),
                )
            )

    def _check_malformed_share(self) -> None:
        allowed = self._options.max_malformed_share
        share = self._malformed_count / max(self._lines, 1)
        if share <= allowed:
            return
        lines = "; ".join(str(line) for line in self._malformed)
        raise TraceError(
            f"{self._path}: {self._malformed_count} of {self._lines} records ({share:.1%}) are "
            f"malformed as {self._format}, more than the {allowed:.1%} allowed: {lines}"
        )


def _state_notes(states: pl.Series) -> Iterator[str]:
    """Note the words that are no known state: how these jobs ended is not known."""
    if unknown := unknown_states(states):
        shown = [f"{word} ({count:,})" for word, count in unknown.items()][:SHOWN_LINES]
        more = ", …" if len(unknown) > SHOWN_LINES else ""
        yield (
            f"states that are not known: {', '.join(shown)}{more}; these jobs count as ended, "
            "nobody knows how"
        )


def sorted_jobs(jobs: pl.DataFrame) -> pl.DataFrame:
    """The columns of `JOB_SCHEMA`, sorted by submit time, then as they were."""
    jobs = jobs.select(*JOB_SCHEMA)
    if jobs["submit_time"].is_sorted():
        return jobs
    return jobs.sort("submit_time", maintain_order=True)


def read_notes(unread: Sequence[str], jobs: pl.DataFrame) -> Iterator[str]:
    """Notes on the columns of a file that are not read, and on fields that no job has.

    `jobs` has columns of `JOB_SCHEMA`.
    """
    yield from unread_notes(unread, jobs)
    empty = _empty_columns(jobs) if len(jobs) else []
    if missing := [name for name in _MAIN_FIELDS if name in empty]:
        yield f"no job has {', '.join(missing)}"


def unread_notes(unread: Sequence[str], jobs: pl.DataFrame) -> Iterator[str]:
    """A note on the columns of a file that are not read, each with the field that it may be."""
    if unread:
        yield f"columns that are not read: {unread_columns(unread, _empty_columns(jobs))}"


def _empty_columns(jobs: pl.DataFrame) -> list[str]:
    nulls = jobs.null_count().row(0, named=True)
    return [name for name in nulls if nulls[name] == jobs.height]
