"""Jobs to score, from any file: job logs, what Slurm says of its queue, and tables of requests.

A single bad record never stops the others: it stays in its place, with an error.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from rt_predictor.cli.options import InputFormat
from rt_predictor.cli.scoring.plain_lines import COLUMNS
from rt_predictor.cli.scoring.tables import read_table
from rt_predictor.errors import TraceError, UsageError
from rt_predictor.jobs.asked import MOMENT, broken_moments, with_moments
from rt_predictor.jobs.rules import invalid_jobs, null_invalid
from rt_predictor.jobs.states import ACTIVE, CODES
from rt_predictor.traces import (
    ReadOptions,
    RequestLog,
    read_sacct_requests,
    read_squeue,
)
from rt_predictor.traces.detect import detect_format, first_line, squeue_names
from rt_predictor.traces.reader import read_trace
from rt_predictor.traces.source import plain_suffix, read_head
from rt_predictor.traces.squeue_text import read_squeue_text
from rt_predictor.traces.trace import TraceFormat

_JSONL_SUFFIXES = (".jsonl", ".ndjson")
_DOCUMENT_START = re.compile(
    r'\s*(?:\[|\{[ \r]*(?:\n|$)|\{\s*"(?:meta|jobs|errors|warnings|last_backfill|last_update)"\s*:)'
)
"""Beginning of squeue's document, in one line or in many; and of other JSON that is not one object
a line, of which its reader says what to do."""
_PENDING = frozenset({"PENDING"})
_ALL = "all"
_NO_MOMENT = [pl.lit(None, pl.Float64).alias(name) for name in MOMENT]
_FOR_HOW_LONG = (
    "state = {}: the job runs, and nothing says for how long (squeue: START_TIME or TIME; sacct: "
    "Elapsed)"
)
_HEAD_BYTES = 64 << 10


@dataclass(frozen=True)
class Requests:
    """Jobs in the order of the file.

    jobs: columns `SCHEMA`: those of `REQUEST_SCHEMA`, `job_id`, and `elapsed` and `as_of`.
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
    """Options for reading a file, where it does not say itself.

    format: None tells it from the name and the content.
    states: of a queue or an accounting log, jobs in these; None takes those that wait from squeue,
        and all of sacct. Empty takes all.
    """

    reading: ReadOptions
    format: InputFormat | None = None
    states: frozenset[str] | None = None


def read_requests(path: Path, options: InputOptions) -> Requests:
    """Read the jobs of a file.

    Raises TraceError where the file cannot be read, UsageError where it has no states to choose by.
    """
    format = options.format or detect_input(path)
    match format:
        case InputFormat.SQUEUE:
            wanted = _PENDING if options.states is None else options.states
            return _of_log(_queue(path, options.reading), wanted)
        case InputFormat.SACCT:
            log = read_sacct_requests(path, options.reading, None)
            return _of_log(log, options.states or frozenset())
    if options.states:
        raise UsageError(f"--states is for squeue and sacct: {path} is {format.value}")
    if format is InputFormat.SWF:
        trace = read_trace(path, format=TraceFormat.SWF, options=options.reading)
        left_out = {"malformed": trace.malformed_count, **trace.skipped}
        jobs = null_invalid(trace.jobs).with_columns(_NO_MOMENT).select(COLUMNS)
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
    return _detect_queue(head) or InputFormat(detect_format(path, choices=InputFormat).value)


def _detect_queue(head: bytes) -> InputFormat | None:
    if squeue_names(first_line(head)) is not None:
        return InputFormat.SQUEUE
    return detect_json(head)


def _queue(path: Path, reading: ReadOptions) -> RequestLog:
    """What squeue printed, as JSON or as text."""
    if first_line(read_head(path)).startswith(("{", "[")):
        return read_squeue(path)
    return read_squeue_text(path, reading)


def detect_json(head: bytes) -> InputFormat | None:
    """Return the kind of JSON that a text begins with, None for other text."""
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
    """Jobs held against the rules; those without an id get the number of their record.

    Those that run do so as of now, where nothing else is said.
    """
    jobs = with_moments(jobs, time.time())
    found = {**broken_moments(jobs), **invalid_jobs(jobs, partial=True)}
    broken = {row: str(error) for row, error in found.items()}
    number = pl.int_range(first_number, pl.len() + first_number).cast(pl.String)
    jobs = jobs.with_columns(pl.col("job_id").fill_null(number))
    return Requests(jobs, {**broken, **errors}, left_out or {}, in_other_states or {})


def _of_log(log: RequestLog, wanted: frozenset[str]) -> Requests:
    jobs, others = _chosen(pl.concat([log.jobs, log.moments], how="horizontal"), wanted)
    runs = pl.col("state").is_in(sorted(ACTIVE)) & pl.col("elapsed").is_null()
    unknown = pl.when(runs).then(pl.format(_FOR_HOW_LONG, "state"))
    wrong = jobs.select(pl.coalesce("malformed", unknown)).with_row_index().drop_nulls()
    left_out = {"job step": log.steps} if log.steps else {}
    requests = checked(jobs.select(COLUMNS), dict(wrong.iter_rows()), left_out, others)
    return replace(requests, notes=log.notes)


def parse_states(text: str) -> frozenset[str] | None:
    """States of a list such as "PENDING,R": None where it is empty, no states where it says all.

    Raises UsageError for a state that Slurm does not have.
    """
    words = [word.strip().upper() for word in text.split(",") if word.strip()]
    if not words:
        return None
    if words == [_ALL.upper()]:
        return frozenset()
    states = frozenset(CODES.get(word, word) for word in words)
    if unknown := sorted(states - set(CODES.values())):
        raise UsageError(
            f"unknown state {unknown[0]}: choose from {_ALL}, {', '.join(CODES.values())}"
        )
    return states


def _chosen(jobs: pl.DataFrame, wanted: frozenset[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """The jobs in the wanted states (all, where none is named), and state -> how many others.

    What cannot be read is kept: nobody knows its state.
    """
    if not wanted:
        return jobs, {}
    state = pl.col("state").fill_null("no state")
    keep = state.is_in(sorted(wanted)) | pl.col("malformed").is_not_null()
    others = jobs.filter(~keep).select(state.str.to_lowercase().alias("state"))
    counts = others["state"].value_counts().sort("state").rows()
    return jobs.filter(keep), dict(counts)


def read_stdin_head() -> bytes:
    """Read the beginning of stdin: up to a line that is not blank, or all there is."""
    head = b""
    while b"\n" not in head.lstrip() and len(head) < _HEAD_BYTES:
        piece = os.read(sys.stdin.fileno(), _HEAD_BYTES)
        if not piece:
            break
        head += piece
    return head


@contextmanager
def stdin_as_file(head: bytes) -> Iterator[Path]:
    """All of stdin as a file, for as long as the context lasts; `head` was read already.

    TraceErrors that name the file say "stdin" instead.
    """
    with TemporaryDirectory(prefix="rt-predictor-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file, open(sys.stdin.fileno(), "rb", closefd=False) as rest:
            file.write(head)
            shutil.copyfileobj(rest, file)
        try:
            yield path
        except TraceError as error:
            raise TraceError(str(error).replace(str(path), "stdin")) from error
