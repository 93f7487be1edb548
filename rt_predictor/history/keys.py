"""The keys under which finished jobs are remembered, most specific first.

What a user's similar jobs did last predicts a runtime best; the more specific the key, the closer
its jobs are to the one at hand, and the fewer of them there are.
"""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Key:
    """One way to group jobs."""

    name: str
    fields: tuple[str, ...]
    """Fields of a job that must be equal. A job that lacks one of them that is in `IDENTITY_FIELDS`
    has no such key; any other that is missing is a value like others."""
    why: str


KEYS: tuple[Key, ...] = (
    Key("user_job", ("user", "job_name"), "the same job of the same user"),
    Key("user_size_time", ("user", "processors_req", "time_req"), "the same request of the user"),
    Key("user_size", ("user", "processors_req"), "the user's jobs of the same size"),
    Key("user_time", ("user", "time_req"), "the user's jobs with the same limit"),
    Key("user", ("user",), "all jobs of the user"),
    Key("account", ("account",), "all jobs of the project"),
    Key("partition_time", ("partition", "time_req"), "jobs with the same limit there"),
    Key("partition", ("partition",), "all jobs there"),
)

TEXT_FIELDS: frozenset[str] = frozenset({"user", "job_name", "account", "partition"})

IDENTITY_FIELDS: frozenset[str] = TEXT_FIELDS - {"partition"}
"""Texts that say who or what a job is: those that lack one have nothing in common. A log that names
no partition has one."""


def key_hashes(jobs: pl.DataFrame) -> pl.DataFrame:
    """One column a key: [n, len(KEYS)] 64-bit hashes, null where a job has no such key.

    Equal keys have equal hashes within one process and version of Polars; they are not for storage.
    """
    return jobs.select(_hash(place, key) for place, key in enumerate(KEYS))


def _hash(place: int, key: Key) -> pl.Expr:
    named = [name for name in key.fields if name in IDENTITY_FIELDS]
    present = pl.all_horizontal(pl.lit(True), *(pl.col(name).is_not_null() for name in named))
    value = pl.struct(key.fields).hash(seed=place)
    return pl.when(present).then(value).alias(key.name)
