"""JSON lines read all at once, where each is as plain as programs write them.

Reading lines one by one in Python costs several times what all other reading of a file does. One
regular expression holds all lines against a grammar so narrow that nothing is left to judge: a flat
object of the API's names, each once, with numbers for numbers and texts without escapes. What it
lets through means the same to any reader of JSON; the rest is left to the one that takes its time.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from rt_predictor.jobs.asked import MOMENT
from rt_predictor.jobs.schema import REQUEST_SCHEMA

SCHEMA: Mapping[str, type[pl.DataType]] = {
    **REQUEST_SCHEMA,
    "job_id": pl.String,
    **dict.fromkeys(MOMENT, pl.Float64),
}
"""What a record to score can say: name -> Polars type."""
COLUMNS = tuple(SCHEMA)
MAX_LINE_BYTES = 256 << 10
"""A longer JSON line is refused."""
LEAST_LINES = 256
"""Fewer are read one by one as quickly."""

_TEXTS = [name for name in COLUMNS if SCHEMA[name] == pl.String]
_NUMBERS = [name for name in COLUMNS if SCHEMA[name] != pl.String]
_NUMBER = r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,2})?"
_TEXT = r'"[^"\\\x00-\x1f]*"'
_COLON, _COMMA = " ?: ?", ", ?"
_PAIR = (
    f'(?:"(?:{"|".join(_NUMBERS)})"{_COLON}(?:{_NUMBER}|null)'
    f'|"(?:{"|".join(_TEXTS)})"{_COLON}(?:{_TEXT}|null))'
)
_PLAIN = rf"^\{{{_PAIR}(?:{_COMMA}{_PAIR})*\}}$"
_KEYS = {name: f'"{name}" ?:' for name in COLUMNS}
"""Pattern of a name in a plain line, which has no other quote before a colon."""
_TWICE = "|".join(f"{key}.*{key}" for key in _KEYS.values())


def plain_table(lines: Sequence[bytes]) -> pl.DataFrame | None:
    """The fields of lines as texts, in columns for the names that they have.

    None where a line is not plain, or there are too few to be worth it.
    """
    if len(lines) < LEAST_LINES:
        return None
    try:
        texts = pl.Series(lines, dtype=pl.Binary).cast(pl.String)
    except pl.exceptions.PolarsError:
        return None  # not UTF-8
    if max(map(len, lines)) > MAX_LINE_BYTES or not texts.str.contains(_PLAIN).all():
        return None
    if texts.str.contains(_TWICE).any():
        return None
    names = [name for name, key in _KEYS.items() if texts.str.contains(key).any()]
    return pl.read_ndjson(b"\n".join(lines), schema=dict.fromkeys(names, pl.String))
