"""The normal form of a job: what differs between inputs and means the same is made the same."""

from collections.abc import Collection

import polars as pl

from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.jobs.states import normal_states

_TEXTS = tuple(name for name, kind in JOB_SCHEMA.items() if kind == pl.String)


def normal_partition(text: str | None) -> str | None:
    """The partition of a job that may run in several, "gpu,long": the first is preferred."""
    if not text or "," not in text:
        return text or None
    return next((name for part in text.split(",") if (name := part.strip(" "))), None)


def normal_partitions(partition: pl.Expr) -> pl.Expr:
    """`normal_partition` of a column."""
    first = partition.str.extract(r"([^, ][^,]*)").str.strip_chars_end(" ")
    return pl.when(partition.str.contains(",", literal=True)).then(first).otherwise(partition)


def normal_texts(columns: Collection[str]) -> list[pl.Expr]:
    """The texts of a job frame with these columns in normal form; "" becomes null."""
    texts = {name: pl.col(name) for name in _TEXTS if name in columns}
    if "partition" in texts:
        texts["partition"] = normal_partitions(texts["partition"])
    if "state" in texts:
        texts["state"] = normal_states(texts["state"])
    return [pl.when(text != "").then(text).alias(name) for name, text in texts.items()]
