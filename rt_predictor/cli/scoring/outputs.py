"""The table of answers, and where it is written."""

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl

from rt_predictor.cli.options import STDIO, AnswerFormat
from rt_predictor.durable_files import new_file
from rt_predictor.errors import UsageError
from rt_predictor.model.answer_flags import Flag, flag_names
from rt_predictor.predict.predictions import Predictions

ANSWER_SCHEMA: Mapping[str, type[pl.DataType]] = {
    "predicted_runtime": pl.Float64,
    "confidence_lower": pl.Float64,
    "confidence_upper": pl.Float64,
    "confidence_level": pl.Float64,
    "timeout_probability": pl.Float64,
    "recommended_time_req": pl.Float64,
    "model_version": pl.String,
    "flags": pl.String,
    "error": pl.String,
}
"""The columns after `job_id`. Seconds; `flags` are names with spaces between."""
REMAINING = "remaining_runtime"
"""The last column where any job runs: what is left of its predicted runtime, s."""

_FORMULA = r"^([=+\-@\t\r])"
"""How texts begin that spreadsheets take for formulas."""

_FLAG_TEXTS = {bits: " ".join(flag_names(Flag(bits))) for bits in range(1 << len(Flag))}


def from_predictions(answers: Predictions) -> pl.DataFrame:
    """The table of jobs that were all predicted."""
    table = pl.DataFrame(
        {
            "predicted_runtime": answers.runtime_s,
            "confidence_lower": answers.lower_s,
            "confidence_upper": answers.upper_s,
            "confidence_level": answers.levels,
            "timeout_probability": pl.Series(answers.timeout_probability).fill_nan(None),
            "recommended_time_req": pl.Series(answers.recommended_time_req_s).fill_nan(None),
            "model_version": [answers.model_version] * len(answers),
            "flags": [_FLAG_TEXTS[bits] for bits in answers.flags.tolist()],
            "error": [None] * len(answers),
        },
        schema=ANSWER_SCHEMA,
    )
    remaining = pl.Series(REMAINING, answers.remaining_s, pl.Float64).fill_nan(None)
    return table if remaining.is_null().all() else table.with_columns(remaining)


def from_table(answers: pl.DataFrame) -> pl.DataFrame:
    """The table of what a service said (`Client.predict_frame`)."""
    # A newer service may know more flags.
    flags = (pl.col("flags") & (len(_FLAG_TEXTS) - 1)).replace_strict(
        _FLAG_TEXTS, return_dtype=pl.String
    )
    schema = dict(ANSWER_SCHEMA)
    if REMAINING in answers.columns:
        schema[REMAINING] = pl.Float64
    return answers.with_columns(flags).select(
        pl.col(name).cast(kind) for name, kind in schema.items()
    )


def from_errors(errors: Sequence[str]) -> pl.DataFrame:
    """The table of jobs that were not asked about."""
    return pl.DataFrame(
        [(*(None,) * (len(ANSWER_SCHEMA) - 1), e) for e in errors],
        schema=ANSWER_SCHEMA,
        orient="row",
    )


@dataclass(frozen=True)
class Destination:
    """Destination of answers: a file, or stdout where `path` is None."""

    path: Path | None
    format: AnswerFormat

    @classmethod
    def of(cls, output: Path, format: AnswerFormat | None) -> "Destination":
        """Return the destination that the command line names; "-" is stdout, as JSON lines by
        default.

        Raises UsageError where nothing can be written there, before any work is done.
        """
        if output == STDIO:
            return cls(None, format or AnswerFormat.JSONL)
        named = output.suffix.lower().removeprefix(".")
        if format is None and named not in list(AnswerFormat):
            choices = ", ".join(f"*.{choice}" for choice in AnswerFormat)
            raise UsageError(f"{output}: name it {choices}, or say what it is with --to")
        if not output.parent.is_dir():
            raise UsageError(f"{output}: the folder {output.parent} does not exist")
        if output.is_dir():
            raise UsageError(f"{output} is a folder: name a file")
        return cls(output, format or AnswerFormat(named))

    @property
    def is_lines_on_stdout(self) -> bool:
        """Return whether answers can go out one by one."""
        return self.path is None and self.format is AnswerFormat.JSONL

    def write(self, table: pl.DataFrame) -> None:
        """Write a table; a file is written in full beside its place, and then put there.

        Raises UsageError where it cannot be written.
        """
        if self.path is None:
            write_stdout(encoded(table, self.format))
            return
        staging = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            write_file(table, self.format, staging)
            staging.replace(self.path)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror or error}") from error
        finally:
            staging.unlink(missing_ok=True)

    def __str__(self) -> str:
        return "stdout" if self.path is None else str(self.path)


def encoded(table: pl.DataFrame, format: AnswerFormat) -> bytes:
    """A table as the bytes of a file."""
    buffer = io.BytesIO()
    _WRITERS[format](table, buffer)
    return buffer.getvalue()


def write_file(table: pl.DataFrame, format: AnswerFormat, path: Path) -> None:
    """Write a table to a new file, in place of what has its name."""
    with new_file(path) as file:
        _WRITERS[format](table, file)


def write_stdout(data: bytes) -> None:
    """Write to stdout, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _write_csv(table: pl.DataFrame, to: IO[bytes]) -> None:
    """Write a table as CSV in which no text is a formula to a spreadsheet: such get an apostrophe.

    Ids of jobs come from whoever made the file that is scored.
    """
    table.with_columns(pl.col(pl.String).str.replace(_FORMULA, "'$1")).write_csv(to)


def _write_jsonl(table: pl.DataFrame, to: IO[bytes]) -> None:
    """Write an object a line; `REMAINING` only of jobs that run, whatever the others do."""
    if REMAINING not in table.columns:
        table.write_ndjson(to)
        return
    lines = table.write_ndjson().splitlines()
    plain = table.drop(REMAINING).write_ndjson().splitlines()
    runs = table[REMAINING].is_not_null()
    each = zip(runs, lines, plain, strict=True)
    to.writelines(f"{line if run else other}\n".encode() for run, line, other in each)


_WRITERS: dict[AnswerFormat, Callable[[pl.DataFrame, IO[bytes]], object]] = {
    AnswerFormat.JSONL: _write_jsonl,
    AnswerFormat.CSV: _write_csv,
    AnswerFormat.PARQUET: lambda table, to: table.write_parquet(to),
}
