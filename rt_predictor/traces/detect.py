"""Detection of a job log's format: by its name, else by its first line."""

import csv
from collections.abc import Iterable
from pathlib import Path

from rt_predictor.errors import TraceError
from rt_predictor.traces.column_map import recognise
from rt_predictor.traces.source import plain_suffix, read_head
from rt_predictor.traces.trace import TraceFormat

_BY_SUFFIX = {
    ".swf": TraceFormat.SWF,
    ".sacct": TraceFormat.SACCT,
    ".csv": TraceFormat.CSV,
    ".tsv": TraceFormat.CSV,
    ".parquet": TraceFormat.PARQUET,
    ".pq": TraceFormat.PARQUET,
}
_PARQUET_MAGIC = b"PAR1"
_SWF_FIELDS = 18
_SEPARATORS = (",", ";", "\t")
_SQUEUE_NAMES = frozenset(
    {
        "JOBID",
        "ARRAY_JOB_ID",
        "ARRAY_TASK_ID",
        "PARTITION",
        "QOS",
        "USER",
        "ACCOUNT",
        "NAME",
        "STATE",
        "ST",
        "SUBMIT_TIME",
        "START_TIME",
        "END_TIME",
        "TIME",
        "TIME_LEFT",
        "TIME_LIMIT",
        "TIMELIMIT",
        "CPUS",
        "MIN_CPUS",
        "NODES",
        "NODELIST",
        "NODELIST(REASON)",
        "REASON",
        "MIN_MEMORY",
        "TRES_PER_NODE",
        "GRES",
        "PRIORITY",
        "GROUP",
        "CLUSTER",
    }
)
"""Headers of squeue, as it writes them."""
_SACCT_NAMES = frozenset(
    {
        "SUBMIT",
        "START",
        "END",
        "ELAPSED",
        "ELAPSEDRAW",
        "JOBIDRAW",
        "JOBNAME",
        "TIMELIMITRAW",
        "REQCPUS",
        "NCPUS",
        "ALLOCCPUS",
        "REQNODES",
        "NNODES",
        "ALLOCNODES",
        "REQMEM",
        "REQTRES",
        "ALLOCTRES",
    }
)
"""Fields of sacct that squeue has under other names, in capitals."""
_LEAST_NAMES = 2
"""Headers of squeue by which its text is known."""


def detect_format(path: Path, *, choices: Iterable[str] = TraceFormat) -> TraceFormat:
    """The format of a job log.

    choices: what the user may name instead.

    Raises TraceError, listing the choices, where neither name nor content tell; and where the
    file cannot be read.
    """
    head = read_head(path)
    if head.startswith(_PARQUET_MAGIC):
        return TraceFormat.PARQUET
    line = first_line(head)
    if squeue_names(line) is not None:
        raise TraceError(
            f"{path} is text of squeue, which tells of no finished job: take a log of sacct; to "
            "score what waits and runs, `squeue --json`"
        )
    named = _BY_SUFFIX.get(plain_suffix(path))
    # sacct output is often saved as .csv: its separator tells.
    piped = line.count("|") > line.count(csv_separator(line))
    found = TraceFormat.SACCT if named is TraceFormat.CSV and piped else named or _by_content(line)
    if found is None:
        raise TraceError(
            f"cannot tell the format of {path} (first line {line[:80]!r}): say which of "
            f"{', '.join(choices)} it is with --format"
        )
    return found


def squeue_names(line: str) -> list[str] | None:
    """The headers of squeue's text in a line, between | or blanks; None where it is none.

    sacct has some of the same in small letters.
    """
    names = [word.strip() for word in line.split("|")] if "|" in line else line.split()
    is_squeue = len(_SQUEUE_NAMES.intersection(names)) >= _LEAST_NAMES
    return names if is_squeue and _SACCT_NAMES.isdisjoint(map(str.upper, names)) else None


def first_line(head: bytes) -> str:
    """The first line that is not blank, without spaces at its ends."""
    return head.decode("utf-8", "replace").lstrip().partition("\n")[0].strip()


def csv_separator(header: str) -> str:
    """The separator of a CSV header line: comma, semicolon or tab, whichever it has most of."""
    return max(_SEPARATORS, key=header.count)


def csv_names(header: str) -> list[str]:
    """The column names of a CSV header line."""
    separator = csv_separator(header)
    try:
        names = next(csv.reader([header], delimiter=separator), [])
    except csv.Error:
        names = header.split(separator)
    return [name.strip() for name in names]


def _by_content(line: str) -> TraceFormat | None:
    if line.startswith(";") or _is_swf_record(line):
        return TraceFormat.SWF
    if "|" in line:
        return TraceFormat.SACCT
    if "submit_time" in recognise(csv_names(line)).columns:
        return TraceFormat.CSV
    return None


def _is_swf_record(line: str) -> bool:
    words = line.split()
    return len(words) == _SWF_FIELDS and all(_is_number(word) for word in words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
