"""Jobs to score, from any file: job logs, what Slurm says of its queue, and tables of requests.

A single bad record never stops the others: it stays in its place, with an error.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from rt_predictor.cli.options import InputFormat
from rt_predictor.cli.scoring.plain_lines import COLUMNS
from rt_predictor.cli.scoring.states import chosen
from rt_predictor.cli.scoring.tables import read_table
from rt_predictor.errors import UsageError
from rt_predictor.jobs.rules import invalid_jobs, null_invalid
from rt_predictor.traces import ReadOptions, RequestLog, read_sacct_requests, read_squeue
from rt_predictor.traces.detect import detect_format, first_line
from rt_predictor.traces.reader import read_trace
from rt_predictor.traces.source import plain_suffix, read_head
from rt_predictor.traces.trace import TraceFormat

_JSONL_SUFFIXES = (".jsonl", ".ndjson")
_DOCUMENT_START = re.compile(
    r'\s*(?:\[|\{[ \r]*(?:\n|$)|\{\s*"(?:meta|jobs|errors|warnings|last_backfill|last_update)"\s*:)'
)
"""How the document of squeue begins, in one line or in many; and other JSON that is not one object
a line, of which its reader says what to do."""
_PENDING = frozenset({"PENDING"})


@dataclass(frozen=True)
class Requests:
    """Jobs in the order of the file.

    jobs: columns of `REQUEST_SCHEMA`, and `job_id` (String).
    errors: row -> why this job cannot be predicted.
    left_out: why records carry no job to score -> how many.
    in_other_states: jobs that were not asked for, by their states -> how many.
    notes: what else the reader has to say of the file, in sentences for the user.
    """

    jobs: pl.DataFrame
    errors: Mapping[int, str]
    left_out: Mapping[str, int] = field(default_factory=dict)
    in_other_states: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class InputOptions:
    """How a file is read, where it does not say itself.

    format: None tells it from the name and the content.
    states: of a queue or an accounting log, jobs in these; None takes those that wait from squeue,
        and all of sacct. Empty takes all.
    """

    reading: ReadOptions
    format: InputFormat | None = None
    states: frozenset[str] | None = None


def read_requests(path: Path, options: InputOptions) -> Requests:
    """Reads the jobs of a file.

    Raises TraceError where the file cannot be read, UsageError where it has no states to choose by.
    """
    format = options.format or detect_input(path)
    match format:
        case InputFormat.SQUEUE:
            wanted = _PENDING if options.states is None else options.states
            return _of_log(read_squeue(path), wanted)
        case InputFormat.SACCT:
            log = read_sacct_requests(path, options.reading, None)
            return _of_log(log, options.states or frozenset())
    if options.states:
        raise UsageError(f"--states is for squeue and sacct: {path} is {format.value}")
    if format is InputFormat.SWF:
        trace = read_trace(path, format=TraceFormat.SWF, options=options.reading)
        left_out = {"malformed": trace.malformed_count, **trace.skipped}
        jobs = null_invalid(trace.jobs.select(COLUMNS))
        return checked(jobs, {}, {why: count for why, count in left_out.items() if count})
    jobs, errors, notes = read_table(path, format, options.reading)
    return replace(checked(jobs, errors), notes=notes)


def detect_input(path: Path) -> InputFormat:
    """The format of a file, by its name, else by its content.

    Raises TraceError where neither tells, and where the file cannot be read.
    """
    if plain_suffix(path) in _JSONL_SUFFIXES:
        return InputFormat.JSONL
    head = read_head(path)
    return detect_json(head) or InputFormat(detect_format(path, choices=InputFormat).value)


def detect_json(head: bytes) -> InputFormat | None:
    """What JSON the beginning of a text is, if any."""
    if _DOCUMENT_START.match(head[:200].decode("utf-8", "replace")):
        return InputFormat.SQUEUE
    return InputFormat.JSONL if first_line(head).startswith("{") else None


def checked(
    jobs: pl.DataFrame,
    errors: Mapping[int, str],
    left_out: Mapping[str, int] | None = None,
    in_other_states: Mapping[str, int] | None = None,
    first_number: int = 1,
) -> Requests:
    """Jobs held against the rules; those without an id get the number of their record."""
    broken = {row: str(error) for row, error in invalid_jobs(jobs, partial=True).items()}
    number = pl.int_range(first_number, pl.len() + first_number).cast(pl.String)
    jobs = jobs.with_columns(pl.col("job_id").fill_null(number))
    return Requests(jobs, {**broken, **errors}, left_out or {}, in_other_states or {})


def _of_log(log: RequestLog, wanted: frozenset[str]) -> Requests:
    jobs, others = chosen(log.jobs, wanted)
    malformed = jobs.select("malformed").with_row_index().drop_nulls()
    left_out = {"job step": log.steps} if log.steps else {}
    return checked(jobs.select(COLUMNS), dict(malformed.iter_rows()), left_out, others)
