"""Which format a job log is in: what its name says, else what its first line looks like."""

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
