"""The table that `rt-predictor score` writes."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from rt_predictor.errors import UsageError
from rt_predictor.serving.predictions import Flag, Predictions, flag_names

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

_FLAG_TEXTS = {bits: " ".join(flag_names(Flag(bits))) for bits in range(1 << len(Flag))}


def from_predictions(answers: Predictions) -> pl.DataFrame:
    """The table of jobs that were all predicted."""
    return pl.DataFrame(
        {
            "predicted_runtime": answers.runtime_s,
            "confidence_lower": answers.lower_s,
            "confidence_upper": answers.upper_s,
            "confidence_level": [answers.level] * len(answers),
            "timeout_probability": pl.Series(answers.timeout_probability).fill_nan(None),
            "recommended_time_req": answers.recommended_time_req_s,
            "model_version": [answers.model_version] * len(answers),
            "flags": [_FLAG_TEXTS[bits] for bits in answers.flags.tolist()],
            "error": [None] * len(answers),
        },
        schema=ANSWER_SCHEMA,
    )


def from_table(answers: pl.DataFrame) -> pl.DataFrame:
    """The table of what a service said (`Client.predict_frame`)."""
    # A newer service may know more flags.
    flags = (pl.col("flags") & (len(_FLAG_TEXTS) - 1)).replace_strict(
        _FLAG_TEXTS, return_dtype=pl.String
    )
    return answers.with_columns(flags).select(
        pl.col(name).cast(kind) for name, kind in ANSWER_SCHEMA.items()
    )


def from_errors(errors: Sequence[str]) -> pl.DataFrame:
    """The table of jobs that were not asked about."""
    return pl.DataFrame(
        [(*(None,) * (len(ANSWER_SCHEMA) - 1), e) for e in errors],
        schema=ANSWER_SCHEMA,
        orient="row",
    )


def check_output(path: Path) -> None:
    """Raises UsageError where a table cannot be written to a path, before any work is done."""
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"{path}: name it {', '.join(f'*{suffix}' for suffix in _WRITERS)}")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file")


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Writes a table in full beside a path, then in its place.

    Raises UsageError where it cannot be written.
    """
    staging = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _WRITERS[path.suffix.lower()](table, staging)
        staging.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        staging.unlink(missing_ok=True)


_WRITERS: dict[str, Callable[[pl.DataFrame, Path], object]] = {
    ".csv": lambda table, path: table.write_csv(path),
    ".parquet": lambda table, path: table.write_parquet(path),
    ".jsonl": lambda table, path: table.write_ndjson(path),
}
