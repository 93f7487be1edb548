"""Tables of jobs and of their answers, between Polars frames and the messages of `PredictArrow`."""

import io
from collections.abc import Mapping, Sequence

import polars as pl
from polars import selectors

from rt_predictor.api.v1 import rt_predictor_pb2 as pb
from rt_predictor.errors import InvalidRequestError
from rt_predictor.jobs.schema import REQUEST_SCHEMA

_KNOWN: Mapping[str, type[pl.DataType]] = {
    **REQUEST_SCHEMA,
    "elapsed": pl.Float64,
    "as_of": pl.Float64,
    "request_id": pl.String,
}
_MICROSECONDS = 1e6


def table_request(
    jobs: pl.DataFrame,
    *,
    partial: bool,
    confidence_level: float | None = None,
    quantiles: Sequence[float] = (),
) -> pb.PredictArrowRequest:
    """The message for a frame of jobs.

    Columns named as the fields of a job are sent, others are left out. Times and spans become
    seconds, categories strings.

    Raises InvalidRequestError where a column cannot be what its field is, or none is known.
    """
    known = [name for name in _KNOWN if name in jobs.columns]
    if REQUEST_SCHEMA.keys().isdisjoint(known):
        raise InvalidRequestError(
            f"the frame has no column of a job; it has {', '.join(jobs.columns) or 'none'}: name "
            f"them {', '.join(REQUEST_SCHEMA)}"
        )
    temporal = (selectors.date() | selectors.datetime()).cast(pl.Datetime("us")).dt.epoch("us")
    spans = selectors.duration().dt.total_microseconds()
    seconds = jobs.select(known).with_columns(temporal / _MICROSECONDS, spans / _MICROSECONDS)
    try:
        table = seconds.select(pl.col(name).cast(_KNOWN[name]) for name in known)
    except pl.exceptions.PolarsError as error:
        raise InvalidRequestError(f"the frame is no table of jobs: {error}") from error
    stream = io.BytesIO()
    table.write_ipc_stream(stream)
    return pb.PredictArrowRequest(
        jobs=stream.getvalue(),
        partial=partial,
        confidence_level=confidence_level,
        quantiles=quantiles,
    )


def answer_table(response: pb.PredictArrowResponse) -> pl.DataFrame:
    """The frame of answers, with the model's version and the levels of intervals and limits."""
    answers = pl.read_ipc_stream(response.predictions)
    answered = pl.col("error").is_null()
    names = ("confidence_level", "recommendation_confidence", "model_version")
    return answers.with_columns(
        pl.when(answered).then(pl.lit(getattr(response, name))).alias(name) for name in names
    )
