"""Encoding of partition, QoS and account by what was learned of each of their values.

A value becomes a code (missing, unseen, or its place among the known names) and the graph looks the
code up in a table of statistics. All of it is learned on training jobs; nothing is computed from
the batch at hand. Names of accounts can tell people's names, so they are kept as keyed hashes.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.features.declared import FIRST_KNOWN_CODE, MISSING_CODE, STATISTICS, UNSEEN_CODE

HASHED_FIELDS: frozenset[str] = frozenset({"account"})
"""Fields whose names a bundle must not carry."""
_HASH_BYTES = 10
_FEW_VALUES = 2048
"""Values that are looked up one by one: it costs less than to set Polars to work."""


@dataclass(frozen=True)
class Category:
    """What was learned of the values of one field."""

    field: str
    names: tuple[str, ...]
    """Known names, hashed for `HASHED_FIELDS`; the place of a name gives its code."""
    table: NDArray[np.float32]
    """[2 + len(names), len(STATISTICS)]: statistics of missing, of unseen and of each name."""
    salt: str
    """Key of the hashes; "" where names are kept as they are."""

    def codes(self, values: pl.Series) -> NDArray[np.float32]:
        """Codes of the values of one column: [n]."""
        if len(values) <= _FEW_VALUES:
            given = values.to_list()
            code_of = {value: self.code(value) for value in set(given)}
            return np.fromiter(map(code_of.__getitem__, given), np.float32, len(given))
        if self.salt:
            values = _hashed(values, self.salt)
        known = values.cast(pl.Enum(self.names), strict=False).to_physical().cast(pl.Float32)
        codes = (known + FIRST_KNOWN_CODE).fill_null(UNSEEN_CODE)
        if values.null_count():
            codes = codes.set(values.is_null(), MISSING_CODE)
        return codes.to_numpy()

    def code(self, value: str | None) -> int:
        """The same of one value."""
        if value is None:
            return MISSING_CODE
        return self._code_of_name.get(_hash(value, self.salt) if self.salt else value, UNSEEN_CODE)

    @cached_property
    def _code_of_name(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names, start=FIRST_KNOWN_CODE)}


def fit_category(
    field: str, jobs: pl.DataFrame, *, min_jobs: int, max_names: int, salt: str
) -> Category:
    """Learns the names and statistics of one field from finished jobs (`JOB_SCHEMA`).

    Names with fewer than `min_jobs` jobs, and all but the commonest `max_names`, count as unseen;
    unseen takes the statistics of those rare names, or of all jobs where they are too few.
    """
    key = salt if field in HASHED_FIELDS else ""
    values = _hashed(jobs[field], key) if key else jobs[field]
    frame = jobs.with_columns(values.alias("name"))
    counts = (
        frame.filter(pl.col("name").is_not_null())
        .group_by("name")
        .len()
        .filter(pl.col("len") >= min_jobs)
        .sort(["len", "name"], descending=[True, False])
        .head(max_names)
    )
    names = tuple(sorted(counts["name"].to_list()))
    known = pl.col("name").is_in(list(names))
    groups = [
        frame.filter(pl.col("name").is_null()),
        frame.filter(pl.col("name").is_not_null() & ~known),
    ]
    overall = _statistics(frame, len(frame))
    rows = [
        _statistics(group, len(frame)) if len(group) >= min_jobs else overall for group in groups
    ]
    parts = {
        str(name[0]): part
        for name, part in frame.filter(known).partition_by("name", as_dict=True).items()
    }
    rows.extend(_statistics(parts[name], len(frame)) for name in names)
    return Category(field, names, np.array(rows, dtype=np.float32), key)


def _hash(name: str, salt: str) -> str:
    return blake2b(name.encode(), digest_size=_HASH_BYTES, key=salt.encode()).hexdigest()


def _hashed(values: pl.Series, salt: str) -> pl.Series:
    """Each distinct name is hashed once."""
    names = values.unique().drop_nulls().to_list()
    hashes = [_hash(name, salt) for name in names]
    if not names:
        return values
    return values.replace_strict(names, hashes, default=None, return_dtype=pl.String)


def _statistics(jobs: pl.DataFrame, total: int) -> list[float]:
    """The values of `STATISTICS` for one group of jobs, NaN where nothing is known."""
    used = pl.col("runtime") / pl.col("time_req")
    row = jobs.select(
        jobs_share=pl.len() / total,
        runtime_median=pl.col("runtime").median(),
        used_median=used.median(),
        used_q90=used.quantile(0.9, "linear"),
        timeout_share=(used >= 1).mean(),
        time_req_median=pl.col("time_req").median(),
        time_req_max=pl.col("time_req").quantile(0.99, "higher"),
        time_req_mode=pl.col("time_req").drop_nulls().mode().sort().first(),
        processors_median=pl.col("processors_req").median(),
    ).row(0, named=True)
    return [np.nan if row[name] is None else row[name] for name, _, _ in STATISTICS]
