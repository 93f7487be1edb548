"""Values of the texts of a table of jobs, in the units of a job frame."""

import polars as pl

from rt_predictor.traces import expressions as read
from rt_predictor.traces.column_map import Kind

KIND_NAMES = {
    Kind.TEXT: "text",
    Kind.TIME: "a time",
    Kind.SPAN: "a time span",
    Kind.MEMORY: "an amount of memory",
    Kind.COUNT: "a number",
}

_MISSING = frozenset({"NAN", "NAT", "NONE", "NULL", "NA", "N/A", "UNKNOWN", "UNLIMITED"})


def cleaned(text: pl.Expr) -> pl.Expr:
    """Text without blanks around it; null in place of words that stand for nothing."""
    return read.words_to_null(text.str.strip_chars(), _MISSING)


def value_of(
    kind: Kind,
    text: pl.Expr,
    *,
    factor: float,
    timezone: str,
    nodes: pl.Expr,
    processors: pl.Expr,
) -> pl.Expr:
    """Return the value of a cleaned text; null where it does not fit the kind.

    factor: of a bare number, to the unit of the job frame.
    timezone: of times that carry none.
    nodes, processors: of the job, for memory that is said for each.
    """
    number = read.number(text) * factor
    # Most are plain numbers: only the others are worth a regular expression.
    worded = pl.when(number.is_null()).then(text)
    match kind:
        case Kind.TEXT:
            return text
        case Kind.TIME:
            return read.timestamp_s(text, timezone, factor)
        case Kind.SPAN:
            return pl.coalesce(number, read.span_s(worded, factor))
        case Kind.MEMORY:
            amount = pl.coalesce(number, read.memory_amount_mb(worded))
            return read.whole_job_mb(amount, read.memory_per(worded), nodes, processors)
        case _:
            return number


def text_of_float(column: pl.Expr) -> pl.Expr:
    """A number of a typed column as text.

    Whole numbers are stored as floats where some are missing: 1234.0 is the name 1234.
    """
    whole = column.cast(pl.Int64, strict=False).cast(pl.String)
    return pl.coalesce(pl.when(column == column.floor()).then(whole), column.cast(pl.String))


def one_line_of(error: BaseException) -> str:
    """Return the message of a Polars error, without the lines of advice that follow."""
    return str(error).partition("\n")[0]
