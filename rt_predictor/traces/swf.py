"""The Standard Workload Format of the Parallel Workloads Archive.

D. G. Feitelson, D. Tsafrir, D. Krakov, "Experience with using the Parallel Workloads Archive",
J. Parallel Distrib. Comput. 74(10), 2014; https://www.cs.huji.ac.il/labs/parallel/workload/swf.html

One job a line, 18 numbers between blanks, -1 for missing; header comments start with ";". Of the
header, UnixStartTime is added to the times; TimeZone is not needed, as the times are UTC.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rt_predictor.jobs.outcomes import Skip
from rt_predictor.jobs.states import SWF_PARTIAL, SWF_STATES
from rt_predictor.traces.expressions import number
from rt_predictor.traces.records import complete_jobs, first_reason
from rt_predictor.traces.source import Progress, line_frames
from rt_predictor.traces.tally import Tally
from rt_predictor.traces.trace import ReadOptions, Trace, TraceFormat

FIELDS = (
    "job number",
    "submit time",
    "wait time",
    "run time",
    "allocated processors",
    "CPU time",
    "used memory",
    "requested processors",
    "requested time",
    "requested memory",
    "status",
    "user",
    "group",
    "executable",
    "queue",
    "partition",
    "preceding job",
    "think time",
)
_REST = "rest"
_KB_PER_MB = 1024.0
_HEADER_LINE = re.compile(r"^;\s*(\w+)\s*:\s*(.*?)\s*$")
# The queue says more than the partition where a log has both, and mixing the numbers of the two
# within one log would make one name of two things: so a log's partitions are decided as a whole.
_QUEUE = "queue"


def read_swf(path: Path, options: ReadOptions, progress: Progress | None) -> Trace:
    """Read a log in the Standard Workload Format.

    Processors are the requested ones, else the allocated ones; memory is the requested memory per
    processor times the processors, never the used memory; nodes, QoS and GPUs are not in the
    format. Identities stay the numbers they are, as text. Raises TraceError.
    """
    tally = Tally(path, TraceFormat.SWF, options)
    comments: list[str] = []
    for lines in line_frames(path, progress):
        stripped = lines.with_columns(pl.col("text").str.strip_chars())
        is_comment = pl.col("text").str.starts_with(";")
        comments += stripped.filter(is_comment)["text"].to_list()
        data = stripped.filter(~is_comment & (pl.col("text") != ""))
        tally.add(_records(data), data.select("text"))
    header = _Header.parse(comments)
    jobs, wait_note = _with_starts(tally.jobs(), tally)
    jobs, partition_note = _with_partition(jobs, header)
    notes = (*header.notes, wait_note, partition_note)
    return tally.trace(jobs, tuple(note for note in notes if note), header.unix_start_time_s)


def _records(data: pl.DataFrame) -> pl.DataFrame:
    """A record frame from lines of numbers; submit and start in seconds from the log's start.

    Start times are null where the wait is missing.
    """
    words = pl.col("text").str.replace_all(r"\s+", " ").str.splitn(" ", len(FIELDS) + 1)
    raw = data.select("line", words.struct.rename_fields([*FIELDS, _REST])).unnest("text")
    # Lazy, so that Polars finds what the expressions share.
    numbers = raw.lazy().select(number(pl.col(*FIELDS))).collect()
    malformed = raw.select(
        first_reason(
            (
                (pl.col(_REST).is_not_null(), f"more than {len(FIELDS)} fields"),
                (pl.col(FIELDS[-1]).is_null(), f"fewer than {len(FIELDS)} fields"),
            )
        ).alias("malformed")
    )["malformed"]
    not_numbers = first_reason(
        (pl.col(name).is_null(), f"the {name} is not a number") for name in FIELDS
    )
    given = {name: pl.when(pl.col(name) >= 0).then(pl.col(name)) for name in FIELDS}
    text = {name: pl.when(pl.col(name) >= 0).then(raw[name]) for name in FIELDS}
    processors = pl.coalesce(
        *(
            pl.when(pl.col(name) > 0).then(pl.col(name))
            for name in ("requested processors", "allocated processors")
        )
    )
    # A status such as 0.5 is none.
    status = pl.col("status").cast(pl.Int64, strict=False)
    status = pl.when(status == pl.col("status")).then(status)
    records = numbers.select(
        raw["line"],
        pl.coalesce(malformed, not_numbers).alias("malformed"),
        pl.when(status.is_in(SWF_PARTIAL)).then(pl.lit(Skip.PARTIAL.value)).alias("skipped"),
        submit_time=given["submit time"],
        processors_req=processors,
        mem_req=given["requested memory"] * processors / _KB_PER_MB,
        time_req=given["requested time"],
        user=text["user"],
        account=text["group"],
        job_name=text["executable"],
        queue=text["queue"],
        partition=text["partition"],
        job_id=text["job number"],
        start_time=given["submit time"] + given["wait time"],
        runtime=given["run time"],
        state=status.replace_strict(SWF_STATES, default=None, return_dtype=pl.String),
    )
    return complete_jobs(records, given=frozenset())


def _with_starts(jobs: pl.DataFrame, tally: Tally) -> tuple[pl.DataFrame, str]:
    """Settle the jobs without a wait.

    A log that knows no wait at all (a workload model, or a log of starts) is taken to start its
    jobs at once. In a log that knows waits, a job without one has no place in time: when it ended,
    and from when on it may be learned from, is unknown.
    """
    started = jobs["start_time"].is_not_null()
    if started.all():
        return jobs, ""
    if not started.any():
        start, end = pl.col("submit_time"), pl.col("submit_time") + pl.col("runtime")
        note = "the log has no wait times: its jobs are taken to start when they are submitted"
        return jobs.with_columns(start_time=start, end_time=end), note
    tally.skip(Skip.NO_START, int((~started).sum()))
    return jobs.filter(started), ""


@dataclass(frozen=True)
class _Header:
    """Values of the header comments."""

    unix_start_time_s: float
    marks_backfilled: bool
    notes: tuple[str, ...]

    @classmethod
    def parse(cls, comments: Iterable[str]) -> "_Header":
        matches = [match for line in comments if (match := _HEADER_LINE.match(line))]
        values = {match[1].lower(): match[2] for match in reversed(matches)}
        start_s = _epoch_s(values.get("unixstarttime", ""))
        simulated = "simulat" in values.get("computer", "").lower()
        marks = any("partition" in text and "backfill" in text for text in map(str.lower, comments))
        notes = (
            "no UnixStartTime in the header: times count from the start of the log, so the hour "
            "and the weekday are not known"
            if start_s is None
            else "",
            "the log is a simulator's output: starts and ends are simulated" if simulated else "",
        )
        return cls(start_s or 0.0, simulated or marks, notes)


def _epoch_s(text: str) -> float | None:
    match = re.match(r"\d+", text)
    return float(match[0]) if match else None


def _with_partition(jobs: pl.DataFrame, header: _Header) -> tuple[pl.DataFrame, str]:
    """Settle which column is the partition; the queue column goes."""
    queue, partition = jobs[_QUEUE], jobs["partition"]
    jobs = jobs.drop(_QUEUE)
    if queue.null_count() < queue.len():
        return jobs.with_columns(queue.alias("partition")), ""
    if partition.null_count() == partition.len():
        return jobs, ""
    # Simulators write into the partition column whether a job was back-filled: the scheduler's
    # decision, made after the submit, so no input of a prediction. Their header says so. Without
    # a header such a column still shows: it says one thing or nothing, as a mark does. A real
    # partition column with a single value and gaps tells nothing that would be missed.
    is_mark = partition.null_count() > 0 and partition.drop_nulls().n_unique() == 1
    if header.marks_backfilled or is_mark:
        note = "the partition column is left out: it marks jobs and names no partition"
        return jobs.with_columns(partition=pl.lit(None, pl.String)), note
    return jobs, ""
