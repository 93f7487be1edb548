"""Tables of jobs in Arrow IPC streams to a frame of jobs, and predictions back to such a stream."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.api.ipc_stream import MAX_TEXT_BYTES, ColumnKind, check_stream, column_kinds
from rt_predictor.api.status import status_of
from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.errors import InvalidJobError, InvalidRequestError
from rt_predictor.jobs.asked import MOMENT, broken_moments, check_level, check_quantiles
from rt_predictor.jobs.bounds import MAX_TEXT_CHARS
from rt_predictor.jobs.normal import normal_texts
from rt_predictor.jobs.rules import TextRule, invalid_jobs
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.predict.dispatch import Failed, Scored
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.views import Views

REQUEST_ID = "request_id"
MAX_ROWS_SETTING = "server.max_batch_jobs"
_SCHEMA: Mapping[str, type[pl.DataType]] = {
    **REQUEST_SCHEMA,
    **dict.fromkeys(MOMENT, pl.Float64),
    REQUEST_ID: pl.String,
}
"""Of `ASKED_SCHEMA` a table has `MOMENT`; the rest is asked of all its jobs alike."""
_ID_RULE = TextRule(REQUEST_ID, required=False)
_DECODING_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What Polars raises for bytes that the first look let pass and that are damaged all the same."""
_OLDEST = pl.CompatLevel.oldest()
"""Strings as every Arrow library reads them, not as views."""


@dataclass(frozen=True)
class Question:
    """What is asked of all jobs of a table."""

    level: float | None = None
    """Of the intervals; None for the service's."""
    quantiles: tuple[float, ...] = ()

    @classmethod
    def of(cls, request: pb.PredictArrowRequest) -> "Question":
        """Return what a request asks. Raises InvalidJobError where it cannot be answered."""
        check_quantiles(request.quantiles)
        quantiles = tuple(request.quantiles)
        if not request.HasField("confidence_level"):
            return cls(None, quantiles)
        return cls(check_level(request.confidence_level), quantiles)

    def views(self, usual: Views) -> Views:
        """Return what is read of each job's distribution."""
        return usual.asked(self.level, self.quantiles)

    def columns(self) -> dict[str, pl.Expr]:
        """Return the same as columns of `ASKED_SCHEMA`; those of which nothing is asked are not."""
        found = {} if self.level is None else {"confidence_level": pl.lit(self.level, pl.Float64)}
        if self.quantiles:
            found["quantiles"] = pl.lit(pl.Series([list(self.quantiles)])).first()
        return found


@dataclass(frozen=True)
class JobTable:
    """The jobs of one table: those that can be scored, and why the others cannot."""

    frame: pl.DataFrame
    """Valid jobs, with the columns of `REQUEST_SCHEMA` and those of `ASKED_SCHEMA` that matter."""
    indices: NDArray[np.intp]
    """[len(frame)] index of each valid job in the table, ascending."""
    errors: Mapping[int, InvalidJobError]
    """Index in the table -> the rule that the job breaks."""
    request_ids: pl.Series | None
    """One for each job of the table; None where it has no such column."""
    question: Question = Question()
    tells_elapsed: bool = False
    """Whether jobs of the table may be running."""

    def __len__(self) -> int:
        return len(self.indices) + len(self.errors)


def decode_table(
    stream: bytes,
    question: Question,
    *,
    partial: bool,
    max_rows: int,
    clock: Callable[[], float],
) -> JobTable:
    """Reads a table; `clock` gives the submit time (Unix s) of jobs that state none.

    Raises InvalidRequestError for a table that cannot be read, TooLargeError for one over a limit.
    """
    _check_columns(column_kinds(stream))
    check_stream(stream, max_rows=max_rows, max_rows_setting=MAX_ROWS_SETTING)
    try:
        table = pl.read_ipc_stream(stream)
    except _DECODING_ERRORS as error:
        raise InvalidRequestError(f"jobs: the Arrow IPC stream is damaged: {error}") from error
    moments = [name for name in MOMENT if name in table.columns]
    jobs = table.select(_column(table, name) for name in (*REQUEST_SCHEMA, *moments))
    jobs = jobs.with_columns(
        pl.col("submit_time").fill_null(clock()), *normal_texts(REQUEST_SCHEMA)
    )
    errors = invalid_jobs(jobs, partial=partial)
    for row, broken in broken_moments(jobs).items():
        errors.setdefault(row, broken)
    ids = None
    if REQUEST_ID in table.columns:
        ids = table.select(_column(table, REQUEST_ID)).to_series()
        too_long = (ids.str.len_chars() > MAX_TEXT_CHARS).arg_true()
        for row in too_long:
            errors.setdefault(row, InvalidJobError(REQUEST_ID, ids[row], _ID_RULE.text))
        ids = ids.scatter(too_long, None)
    indices = np.arange(len(jobs))
    if errors:
        indices = np.delete(indices, list(errors))
        jobs = jobs[indices]
    jobs = jobs.with_columns(**question.columns())
    return JobTable(jobs, indices, errors, ids, question, "elapsed" in moments)


def encode_table(
    table: JobTable, parts: Sequence[Scored | Failed], models: Sequence[str]
) -> tuple[bytes, int]:
    """The stream of the answers, and how many of them are errors.

    `parts` are the answers for the valid jobs, in order; `models` names those of the ensemble.
    """
    schema = _answer_schema(table, models)
    answers = pl.concat([pl.DataFrame(schema=schema), *(_answered(p, schema) for p in parts)])
    if table.errors:
        answers = _with_refused(answers, table, schema)
    if table.request_ids is not None:
        answers.insert_column(0, table.request_ids)
    stream = io.BytesIO()
    answers.write_ipc_stream(stream, compat_level=_OLDEST)
    return stream.getvalue(), answers["error"].count()


def _check_columns(kinds: Mapping[str, ColumnKind]) -> None:
    for name, kind in kinds.items():
        if name not in _SCHEMA:
            raise InvalidRequestError(
                f"jobs: the column {name!r} is not known: rename it or leave it out; known are "
                f"{', '.join(_SCHEMA)}"
            )
        wanted = ColumnKind.TEXT if _SCHEMA[name] is pl.String else ColumnKind.NUMBER
        if kind not in (wanted, ColumnKind.MISSING):
            raise InvalidRequestError(
                f"jobs: the column {name!r} is {kind.value}, it must be {wanted.value}"
            )


def _column(table: pl.DataFrame, name: str) -> pl.Expr:
    """A column of a table as the schema has it: "" is missing, and so is what is not there."""
    kind = _SCHEMA[name]
    if name not in table.columns or table[name].dtype == pl.Null:
        return pl.repeat(None, len(table), dtype=kind()).alias(name)
    column = pl.col(name).cast(kind)
    if kind is not pl.String:
        return column + 0.0  # -0.0 becomes 0.0, which is the same job
    longest = table[name].str.len_bytes().max()
    if isinstance(longest, int) and longest > MAX_TEXT_BYTES:
        # What is too long stays too long, but is no longer of any size.
        column = column.str.head(MAX_TEXT_CHARS + 1)
    return pl.when(column != "").then(column)


def _answer_schema(table: JobTable, models: Sequence[str]) -> dict[str, type[pl.DataType]]:
    quantiles = map(quantile_column, dict.fromkeys(table.question.quantiles))
    return {
        "predicted_runtime": pl.Float64,
        "confidence_lower": pl.Float64,
        "confidence_upper": pl.Float64,
        "timeout_probability": pl.Float64,
        "recommended_time_req": pl.Float64,
        **({"remaining_runtime": pl.Float64} if table.tells_elapsed else {}),
        **dict.fromkeys(quantiles, pl.Float64),
        **dict.fromkeys(models, pl.Float64),
        "flags": pl.UInt32,
        "error_code": pl.Int32,
        "error_field": pl.String,
        "error": pl.String,
    }


def quantile_column(level: float) -> str:
    """Return the name of the column of a quantile."""
    return f"quantile_{level:.12g}"


def _answered(part: Scored | Failed, schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    if isinstance(part, Failed):
        status = status_of(part.error, jobs=len(part.rows))
        return _errors([(status.number, "", status.message)], schema).select(
            pl.all().repeat_by(len(part.rows)).explode()
        )
    return _answers(part.own, schema)


def _answers(said: Predictions, schema: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    levels = said.views[0].quantiles
    numbers: dict[str, Any] = {
        "predicted_runtime": said.runtime_s,
        "confidence_lower": said.lower_s,
        "confidence_upper": said.upper_s,
        "timeout_probability": said.timeout_probability,
        "recommended_time_req": said.recommended_time_req_s,
        "remaining_runtime": said.remaining_s,
        **dict(zip(map(quantile_column, levels), said.quantiles_s.T, strict=False)),
        **dict(zip(said.member_names, said.members_s.T, strict=True)),
    }
    columns = {
        name: pl.Series(numbers[name], nan_to_null=True) if name in numbers else None
        for name in schema
    }
    return pl.DataFrame(columns | {"flags": said.flags}, schema=schema)


def _with_refused(
    answers: pl.DataFrame, table: JobTable, schema: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame:
    """The answers of the valid jobs and the errors of the others, each in its place."""
    statuses = [(status_of(error), error.field) for error in table.errors.values()]
    rows = [(status.number, field, status.message) for status, field in statuses]
    refused = _errors(rows, schema)
    indices = np.concatenate([table.indices, np.fromiter(table.errors, np.intp)])
    return pl.concat([answers, refused])[np.argsort(indices)]


def _errors(
    rows: Sequence[tuple[int, str, str]], schema: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame:
    """Rows of a code, a field and a message, all else null."""
    columns = dict(
        zip(("error_code", "error_field", "error"), zip(*rows, strict=True), strict=True)
    )
    return pl.DataFrame({name: columns.get(name, [None] * len(rows)) for name in schema}, schema)
