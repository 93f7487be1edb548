"""CSV and Parquet job logs: one job a row, columns found by a map or by the header."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rt_predictor.errors import TraceError
from rt_predictor.jobs.identity import is_step
from rt_predictor.jobs.outcomes import Skip
from rt_predictor.traces import expressions as read
from rt_predictor.traces.column_map import KINDS, ColumnMap, Kind, recognise
from rt_predictor.traces.detect import csv_names, csv_separator, first_line
from rt_predictor.traces.records import complete_jobs, first_reason
from rt_predictor.traces.source import Progress, last_quoted_record_end, read_head, text_blocks
from rt_predictor.traces.tally import Tally, read_notes
from rt_predictor.traces.texts import KIND_NAMES, cleaned, one_line_of, text_of_float, value_of
from rt_predictor.traces.trace import ReadOptions, Trace, TraceFormat

SLICE_ROWS = 250_000

# With blanks around, no column of a CSV file has these names: theirs are stripped.
_LINE = " line "
_EXTRA = " extra "
_NO_NUMBER = pl.lit(None, pl.Float64)


def read_csv(path: Path, options: ReadOptions, progress: Progress | None) -> Trace:
    """Read comma-, semicolon- or tab-separated text with a header line.

    Columns are found by `options.columns`, else by the header. Times are ISO (local to
    `options.timezone` where they carry no zone) or epoch numbers. Raises TraceError.
    """
    header = first_line(read_head(path))
    names = csv_names(header)
    columns = _Columns.of(path, names, options)
    tally = Tally(path, TraceFormat.CSV, options)
    for numbered in _csv_frames(path, names, csv_separator(header), progress):
        blank = pl.all_horizontal(pl.exclude(_LINE).is_null())
        data = numbered.filter(~blank)
        tally.add(columns.records(data), data.drop(_LINE))
    return columns.trace(tally, names)


def read_parquet(path: Path, options: ReadOptions, progress: Progress | None) -> Trace:
    """Read a Parquet file, in slices of rows. As `read_csv`; typed columns are taken as typed.

    Raises TraceError.
    """
    try:
        log = pl.scan_parquet(path, glob=False)
        names = log.collect_schema().names()
        columns = _Columns.of(path, names, options)
        rows = log.select(pl.len()).collect().item()
        wanted = log.select(column.name for column in columns.map.columns.values())
        tally = Tally(path, TraceFormat.PARQUET, options)
        for start in range(0, rows, SLICE_ROWS):
            data = wanted.slice(start, SLICE_ROWS).collect()
            numbered = data.with_row_index(_LINE, start + 1).cast({_LINE: pl.Int64})
            tally.add(columns.records(numbered), data)
            if progress is not None:
                progress(min(1.0, (start + SLICE_ROWS) / rows))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TraceError(f"cannot read {path} as Parquet: {one_line_of(error)}") from error
    return columns.trace(tally, names)


@dataclass(frozen=True)
class _Columns:
    """Columns of one file by what they hold, checked against those that it has."""

    path: Path
    map: ColumnMap
    timezone: str

    @classmethod
    def of(cls, path: Path, names: Sequence[str], options: ReadOptions) -> "_Columns":
        """Add to the map of the options the columns that the header tells.

        Raises TraceError where a mapped column is missing or there twice, or too little is mapped.
        """
        asked = options.columns.columns if options.columns else {}
        taken = {file_column.name for file_column in asked.values()}
        known = {
            job_column: file_column
            for job_column, file_column in recognise(names).columns.items()
            if file_column.name not in taken
        }
        columns = cls(path, ColumnMap({**known, **asked}), options.timezone)
        columns._check(names)
        return columns

    def records(self, data: pl.DataFrame) -> pl.DataFrame:
        """A record frame from rows of the file with their `_LINE`."""
        from_text = [job for job in self.map.columns if self._is_read_from_text(job, data.schema)]
        values = {_value_name(job): self._value(job, data.schema) for job in self.map.columns}
        unread = [
            (_text(job).is_not_null() & pl.col(_value_name(job)).is_null(), self._reason(job))
            for job in from_text
        ]
        if _EXTRA in data.columns:
            fields = len(data.columns) - 2
            unread.insert(0, (pl.col(_EXTRA).is_not_null(), f"more than {fields} fields"))
        cleaned = data.with_columns(self._cleaned(job).alias(_text_name(job)) for job in from_text)
        # Lazy, so that Polars finds what the expressions share.
        records = (
            cleaned.lazy()
            .with_columns(**values)
            .collect()
            .select(
                pl.col(_LINE).alias("line"),
                first_reason(unread).alias("malformed"),
                pl.lit(None, pl.String).alias("skipped"),
                *(pl.col(_value_name(job)).alias(job) for job in self.map.columns),
            )
        )
        return complete_jobs(records, given=frozenset(self.map.columns))

    def trace(self, tally: Tally, names: Sequence[str]) -> Trace:
        """The trace of a file with these columns, once all its records are in the tally."""
        jobs = tally.jobs()
        steps = is_step(jobs["job_id"])
        if steps.any():
            tally.skip(Skip.JOB_STEP, int(steps.sum()))
            jobs = jobs.filter(~steps)
        mapped = {column.name for column in self.map.columns.values()}
        unread = [name for name in names if name and name not in mapped]
        return tally.trace(jobs, tuple(read_notes(unread, jobs)))

    def _check(self, names: Sequence[str]) -> None:
        for job_column, file_column in self.map.columns.items():
            found = list(names).count(file_column.name)
            if found != 1:
                raise TraceError(
                    f"{self.path}: column {file_column.name!r} (mapped to {job_column}) is there "
                    f"{found} times; the columns are {', '.join(names)}"
                )
        has = set(self.map.columns)
        spans = len(has & {"start_time", "end_time", "runtime"})
        if "submit_time" not in has or spans < 2:
            raise TraceError(
                f"{self.path} needs the columns submit_time, and two of start_time, end_time and "
                f"runtime; it has {', '.join(names)}: name them in a column map, e.g. "
                'submit_time = "submit"'
            )

    def _cleaned(self, job_column: str) -> pl.Expr:
        return cleaned(pl.col(self.map.columns[job_column].name))

    def _is_read_from_text(self, job_column: str, schema: Mapping[str, pl.DataType]) -> bool:
        is_text = schema[self.map.columns[job_column].name] == pl.String
        return is_text and KINDS[job_column] is not Kind.TEXT

    def _reason(self, job_column: str) -> str:
        name = self.map.columns[job_column].name
        return f"{name} is not {KIND_NAMES[KINDS[job_column]]}"

    def _value(self, job_column: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        """The job column in the unit of the job frame."""
        if self._is_read_from_text(job_column, schema):
            return self._from_text(job_column, schema)
        name = self.map.columns[job_column].name
        value = _from_typed(
            pl.col(name),
            schema[name],
            KINDS[job_column],
            self.map.factor(job_column),
            self.timezone,
        )
        if value is None:
            raise TraceError(
                f"{self.path}: column {name!r} (mapped to {job_column}) is of type {schema[name]}, "
                f"which cannot be read as {KIND_NAMES[KINDS[job_column]]}"
            )
        return value

    def _from_text(self, job_column: str, schema: Mapping[str, pl.DataType]) -> pl.Expr:
        kind = KINDS[job_column]
        nodes, processors = (
            self._value(name, schema)
            if kind is Kind.MEMORY and name in self.map.columns
            else _NO_NUMBER
            for name in ("nodes_req", "processors_req")
        )
        return value_of(
            kind,
            _text(job_column),
            factor=self.map.factor(job_column),
            timezone=self.timezone,
            nodes=nodes,
            processors=processors,
        )


def _value_name(job_column: str) -> str:
    return f" {job_column} "


def _text_name(job_column: str) -> str:
    return f" {job_column} text "


def _text(job_column: str) -> pl.Expr:
    """The text of a job column, cleaned."""
    return pl.col(_text_name(job_column))


def _from_typed(
    column: pl.Expr, dtype: pl.DataType, kind: Kind, factor: float, timezone: str
) -> pl.Expr | None:
    """A typed column in the unit of the job frame; None where the type does not fit the kind."""
    value: pl.Expr | None = None
    if dtype == pl.Null:
        value = pl.lit(None, pl.String if kind is Kind.TEXT else pl.Float64)
    elif kind is Kind.TEXT:
        value = _text_from_typed(column, dtype)
    elif dtype.is_numeric():
        number = column.cast(pl.Float64)
        value = pl.when(number.is_finite()).then(number * factor)
    elif kind is Kind.TIME and isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        value = column.dt.epoch("us") / 1e6
    elif kind is Kind.TIME and dtype in (pl.Datetime, pl.Date):
        value = read.local_to_utc_us(column.cast(pl.Datetime("us")), timezone) / 1e6
    elif kind is Kind.SPAN and dtype == pl.Duration:
        value = column.dt.total_microseconds() / 1e6
    return value


def _text_from_typed(column: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        return None
    if not dtype.is_float():
        return column.cast(pl.String)
    return pl.when(column.is_finite()).then(text_of_float(column))


def _csv_frames(
    path: Path, names: Sequence[str], separator: str, progress: Progress | None
) -> Iterator[pl.DataFrame]:
    """Frames of `_LINE` and the file's columns as text, empty as null.

    A row may be short; the first field too much of a long one is in the column `_EXTRA`.
    """
    schema = dict.fromkeys([*_csv_labels(names), _EXTRA], pl.String)
    records_seen = 0
    for block in text_blocks(path, cut=last_quoted_record_end, progress=progress):
        body = block if records_seen else block.lstrip().partition(b"\n")[2]
        records_seen = max(records_seen, 1)
        if not body:
            continue
        try:
            frame = csv_frame(body, separator, schema)
        except csv.Error as error:
            raise TraceError(
                f"cannot read {path} as CSV after record {records_seen}: {one_line_of(error)}"
            ) from error
        first = records_seen + 1
        line = pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias(_LINE)
        yield frame.select(line, pl.all())
        records_seen += frame.height


def csv_frame(
    block: bytes, separator: str, schema: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame:
    """Whole CSV records without their header as text, empty as null. A record may be short.

    Raises csv.Error.
    """
    try:
        return pl.read_csv(
            block,
            has_header=False,
            separator=separator,
            schema=schema,
            truncate_ragged_lines=True,
            missing_columns="insert",
        )
    except pl.exceptions.PolarsError:
        # Polars gives up at a stray quote. This reader is slow, but loses only the record.
        rows = csv.reader(io.StringIO(block.decode(), newline=""), delimiter=separator)
        width = len(schema)
        padded = [[*row[:width], *[None] * (width - len(row))] for row in rows]
        frame = pl.DataFrame(padded, schema, orient="row")
        return frame.select(pl.when(pl.all() != "").then(pl.all()))


def _csv_labels(names: Sequence[str]) -> list[str]:
    """Column names, told apart by their index where the file has one twice."""
    return [
        name if list(names).count(name) == 1 else f"{name} in column {at}"
        for at, name in enumerate(names, 1)
    ]
