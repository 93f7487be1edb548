"""Tables of requests: csv, parquet and JSON lines, whose columns are named as the fields of a job.

Nothing is refused for a single bad record: it stays in its place, with what is wrong with it.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from rt_predictor.cli.options import InputFormat
from rt_predictor.cli.scoring.plain_lines import COLUMNS, MAX_LINE_BYTES, SCHEMA, plain_table
from rt_predictor.errors import TraceError
from rt_predictor.jobs.asked import MOMENT
from rt_predictor.jobs.names import no_such_field
from rt_predictor.jobs.normal import normal_texts
from rt_predictor.jobs.rules import encodable, null_invalid
from rt_predictor.jobs.schema import JOB_SCHEMA, REQUEST_SCHEMA
from rt_predictor.traces import ReadOptions, expressions
from rt_predictor.traces.column_map import KINDS, ColumnMap, FileColumn, recognise
from rt_predictor.traces.detect import csv_names, csv_separator, first_line
from rt_predictor.traces.source import last_line_end, read_head, text_blocks
from rt_predictor.traces.table import csv_frame
from rt_predictor.traces.tally import unread_notes
from rt_predictor.traces.texts import KIND_NAMES, cleaned, one_line_of, text_of_float, value_of

_EXTRA = " extra "
_UNREADABLE = " unreadable "
_NO_NUMBER = pl.lit(None, pl.Float64)


def read_table(
    path: Path, format: InputFormat, options: ReadOptions
) -> tuple[pl.DataFrame, dict[int, str], tuple[str, ...]]:
    """The jobs of a file (`COLUMNS`), row -> why it cannot be read, and notes on its columns.

    Raises TraceError where the file cannot be read as that format.
    """
    table = (
        _jsonl_table(path, _json_fields(options))
        if format is InputFormat.JSONL
        else _TABLES[format](path)
    )
    if table.width == 1 and table.height:
        first = next(iter(table[_UNREADABLE].drop_nulls()), "its first line names no field")
        raise TraceError(f"no line of {path} holds a job: {first}")
    columns = _column_map(path, table.columns, options)
    jobs, errors = _from_text(table, _request_part(columns), options.timezone)
    if format is InputFormat.JSONL:
        return jobs, errors, ()
    read = {*JOB_SCHEMA, *(column.name for column in columns.columns.values()), _UNREADABLE}
    notes = unread_notes([name for name in table.columns if name and name not in read], jobs)
    return null_invalid(jobs) if _is_log(columns) else jobs, errors, tuple(notes)


def read_lines(lines: Sequence[bytes], options: ReadOptions) -> tuple[pl.DataFrame, dict[int, str]]:
    """The same of JSON lines, none of them blank. What a line says does not depend on the others.

    Columns are those of the API, and those that the options map; others are errors of their rows.
    """
    table = _json_table(lines, _json_fields(options))
    return _from_text(table, _json_columns(table.columns, options), options.timezone)


def _json_fields(options: ReadOptions) -> frozenset[str]:
    """Names that an object may have: of a job, of the API's `request_id` and `partial`, mapped."""
    mapped = options.columns.columns.values() if options.columns else ()
    return frozenset(
        (*JOB_SCHEMA, *MOMENT, "request_id", "partial", *(column.name for column in mapped))
    )


def _json_columns(names: Sequence[str], options: ReadOptions) -> ColumnMap:
    known = {name: FileColumn(name) for name in COLUMNS}
    if options.columns is not None:
        known |= _request_part(options.columns).columns
    return ColumnMap({job: column for job, column in known.items() if column.name in names})


def _is_log(columns: ColumnMap) -> bool:
    """Return whether a table knows how jobs ended: then 0 MB means "not asked for", as in any job
    log."""
    return not columns.columns.keys().isdisjoint(("runtime", "end_time"))


def _request_part(columns: ColumnMap) -> ColumnMap:
    return ColumnMap({name: c for name, c in columns.columns.items() if name in COLUMNS})


def _column_map(path: Path, names: list[str], options: ReadOptions) -> ColumnMap:
    asked = options.columns.columns if options.columns else {}
    if missing := sorted({column.name for column in asked.values()} - set(names)):
        raise TraceError(f"{path} has no column {missing[0]!r}; it has {', '.join(names)}")
    known = recognise(names).columns
    if {"runtime", "end_time"}.isdisjoint(known):
        # In a log of jobs that have ended, elapsed is how long they ran.
        known = {**known, **{name: FileColumn(name) for name in MOMENT if name in names}}
    found = {**known, **asked}
    if "job_id" not in found and "request_id" in names:
        found["job_id"] = FileColumn("request_id")
    if found.keys().isdisjoint(REQUEST_SCHEMA):
        shown = [name for name in names if name != _UNREADABLE]
        raise TraceError(
            f"{path} has no column that describes a job; it has {', '.join(shown)}: rename some to "
            f"{', '.join(REQUEST_SCHEMA)}, or name them in a column map (--columns)"
        )
    return ColumnMap(found)


def _from_text(
    table: pl.DataFrame, columns: ColumnMap, timezone: str
) -> tuple[pl.DataFrame, dict[int, str]]:
    """Jobs from the texts of a table, and row -> why it cannot be read."""
    texts = {_text(name): cleaned(pl.col(c.name)) for name, c in columns.columns.items()}
    values = {name: _value(name, columns, timezone) for name in columns.columns}
    absent = {name: pl.lit(None, pl.String) for name in COLUMNS if name not in values}
    # Lazy, so that Polars finds what the expressions share.
    read = table.lazy().with_columns(**texts).with_columns(**values, **absent).collect()
    jobs = read.select(pl.col(name).cast(SCHEMA[name]) for name in COLUMNS)
    jobs = jobs.with_columns(normal_texts(COLUMNS))
    errors = _unread(read, columns)
    for row, reason in table.select(_UNREADABLE).with_row_index().drop_nulls().iter_rows():
        errors[row] = reason
    return jobs, errors


def _text(name: str) -> str:
    """The column of a field's text, cleaned. With blanks around, no column of a file has its name:
    theirs are stripped."""
    return f" {name} text "


def _value(name: str, columns: ColumnMap, timezone: str) -> pl.Expr:
    nodes, processors = (
        expressions.number(pl.col(_text(field))) if field in columns.columns else _NO_NUMBER
        for field in ("nodes_req", "processors_req")
    )
    text, factor = pl.col(_text(name)), columns.factor(name)
    return value_of(
        KINDS[name], text, factor=factor, timezone=timezone, nodes=nodes, processors=processors
    )


def _unread(read: pl.DataFrame, columns: ColumnMap) -> dict[int, str]:
    errors: dict[int, str] = {}
    for name in columns.columns:
        given = read[_text(name)]
        for row in (given.is_not_null() & read[name].is_null()).arg_true().to_list():
            shown = given[row] if len(given[row]) <= 80 else given[row][:80] + "…"
            errors.setdefault(row, f"{name} = {shown!r}: must be {KIND_NAMES[KINDS[name]]}")
    return errors


def _csv_table(path: Path) -> pl.DataFrame:
    header = first_line(read_head(path))
    names = csv_names(header)
    if len(set(names)) < len(names):
        raise TraceError(f"{path} has a column twice: {', '.join(names)}")
    blocks = text_blocks(path, cut=last_line_end, progress=None)
    body = b"".join(blocks).lstrip().partition(b"\n")[2]
    schema = dict.fromkeys([*names, _EXTRA], pl.String)
    if not body.strip():
        return pl.DataFrame(schema={**dict.fromkeys(names, pl.String), _UNREADABLE: pl.String})
    try:
        if body.count(b'"') % 2:
            _check_quotes(path, body, csv_separator(header))
        table = csv_frame(body, csv_separator(header), schema)
    except csv.Error as error:
        raise TraceError(f"cannot read {path} as CSV: {one_line_of(error)}") from error
    too_long = pl.when(pl.col(_EXTRA).is_not_null()).then(
        pl.lit(f"the record has more than {len(names)} fields")
    )
    return (
        table.filter(~pl.all_horizontal(pl.all().is_null()))
        .with_columns(too_long.alias(_UNREADABLE))
        .drop(_EXTRA)
    )


def _check_quotes(path: Path, body: bytes, separator: str) -> None:
    """Raise TraceError where a quote may enclose other records: nobody knows how many they are.

    A quote in the middle of a field, as in 5" disk, is one of its letters.
    """
    rows = csv.reader(io.StringIO(body.decode(), newline=""), delimiter=separator)
    for number, row in enumerate(rows, 2):
        if any("\n" in field for field in row):
            raise TraceError(f"cannot read {path} as CSV: record {number} has a quote left open")


def _parquet_table(path: Path) -> pl.DataFrame:
    try:
        log = pl.scan_parquet(path, glob=False)
        rows, columns = log.select(pl.len()).collect().item(), len(log.collect_schema())
        if rows * columns > _MOST_CELLS:
            raise TraceError(f"{path} has {rows} rows of {columns} columns, too many: split it")
        table = log.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TraceError(f"cannot read {path} as Parquet: {one_line_of(error)}") from error
    texts = [_text_of(name, dtype) for name, dtype in table.schema.items()]
    return table.select(texts).with_columns(pl.lit(None, pl.String).alias(_UNREADABLE))


def _text_of(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    match dtype:
        case pl.Date() | pl.Datetime():
            column = column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
        case pl.Duration():
            column = column.dt.total_microseconds() / 1e6
        case _ if dtype.is_float():
            return text_of_float(column)
        case _ if dtype.is_nested() or dtype == pl.Binary:
            return pl.lit(None, pl.String).alias(name)
    return column.cast(pl.String)


def _jsonl_table(path: Path, fields: frozenset[str]) -> pl.DataFrame:
    tables = [
        _json_table([line for line in block.split(b"\n") if line.strip()], fields)
        for block in text_blocks(path, cut=last_line_end, progress=None)
    ]
    return pl.concat([_json_table([], fields), *tables], how="diagonal")


def _json_table(lines: Sequence[bytes], fields: frozenset[str]) -> pl.DataFrame:
    plain = plain_table(lines)
    if plain is not None:
        return plain.with_columns(pl.lit(None, pl.String).alias(_UNREADABLE))
    rows = [_json_row(line, fields) for line in lines]
    names = list(dict.fromkeys(name for row in rows for name in row if name != _UNREADABLE))
    return pl.DataFrame(rows, schema=dict.fromkeys([*names, _UNREADABLE], pl.String))


def _json_row(line: bytes, fields: frozenset[str]) -> dict[str, str | None]:
    """The fields of one request as texts; `fields` are the names that there are."""
    if len(line) > MAX_LINE_BYTES:
        return {_UNREADABLE: f"the line is longer than {MAX_LINE_BYTES >> 10} kB"}
    try:
        found = json.loads(line)
    except ValueError as error:
        return {_UNREADABLE: f"the line is not JSON: {error}"}
    except RecursionError:
        return {_UNREADABLE: "the line is not JSON: nested too deep"}
    if not isinstance(found, dict):
        shown = line[:40].decode("utf-8", "replace")
        return {_UNREADABLE: f"the line is not a JSON object: {shown!r}"}
    row: dict[str, str | None] = {}
    for name, value in found.items():
        match value:
            case None:
                row[encodable(name)] = None
            case _ if name not in fields:
                shown = f"{encodable(name)[:80]} = {encodable(str(value))[:80]}"
                row.setdefault(_UNREADABLE, f"{shown}: {no_such_field(name, COLUMNS)}")
            case bool() | list() | dict() if name in COLUMNS:
                row[_UNREADABLE] = f"{name} = {str(value)[:80]}: must be a number or text"
            case bool() | list() | dict():
                pass
            case _:
                row[encodable(name)] = encodable(str(value))
    if row.get("job_id") is None and "request_id" in row:
        row["job_id"] = row["request_id"]
    return row


_MOST_CELLS = 200_000_000
"""Rows times columns of a table: a file of a few MB may have any number of equal ones."""

_TABLES: Mapping[InputFormat, Callable[[Path], pl.DataFrame]] = {
    InputFormat.CSV: _csv_table,
    InputFormat.PARQUET: _parquet_table,
}
