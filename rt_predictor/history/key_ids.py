"""Keys as 64-bit numbers that are the same in every process, and so can be stored.

A key is the sum of its values' ids (`value_ids`) times odd factors of its own.
Two keys out of a million get the same number once in ten million such sets.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import chain

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.keys import IDENTITY_FIELDS, KEYS, TEXT_FIELDS
from rt_predictor.history.value_ids import NULL_ID, column_ids, hash_bytes, value_id
from rt_predictor.jobs.schema import Jobs, Row, as_frame

Ids = NDArray[np.uint64]

NO_KEY = np.uint64(0)
"""Id of what a job does not have."""

ABOVE_ALL_IDS = np.uint64(2**64 - 1)
"""Greater than any id."""

USER_KEY = next(place for place, key in enumerate(KEYS) if key.name == "user")
"""Column of `key_ids` that tells users apart."""

_FEW_JOBS = 512
"""Jobs whose values are hashed one by one; of more, each distinct value once."""

_SOLE_JOBS = 4
"""Jobs whose keys are summed up one by one: it costs less than to set NumPy to work."""

_CACHED_SHARES = 1 << 14
"""Values whose shares are remembered; about 250 bytes each, and the text."""

_USED = {name for key in KEYS for name in key.fields}
_TEXTS = tuple(sorted(_USED & TEXT_FIELDS))
_FIELDS = (*_TEXTS, *sorted(_USED - TEXT_FIELDS))

_MASK = 2**64 - 1
_NULL = np.uint64(NULL_ID)
_FACTORS: Ids = np.array(
    [
        [hash_bytes(f"{key.name}/{name}".encode()) | 1 if name in key.fields else 0 for key in KEYS]
        for name in _FIELDS
    ],
    dtype=np.uint64,
)
_ONE = np.uint64(1)
_OFFSETS: Ids = np.array([hash_bytes(key.name.encode()) for key in KEYS], dtype=np.uint64)
_NEEDED = (_FACTORS[: len(_TEXTS)] > 0) & np.isin(_TEXTS, [*IDENTITY_FIELDS])[:, None]

_LANE_BYTES = 16
"""Of a number that holds one for each key side by side: twice as many as they have, for carries."""


def _side_by_side(numbers: Iterable[int]) -> int:
    return sum((number & _MASK) << 8 * _LANE_BYTES * place for place, number in enumerate(numbers))


_OFFSETS_TOGETHER = _side_by_side(_OFFSETS.tolist())
_FACTORS_OF: Mapping[str, tuple[int, ...]] = dict(
    zip(_FIELDS, map(tuple, _FACTORS.tolist()), strict=True)
)
_NEED: Mapping[str, NDArray[np.intp]] = {
    name: np.flatnonzero(needed)
    for name, needed in zip(_TEXTS, _NEEDED, strict=True)
    if needed.any()
}
"""Fields without which a job does not have some keys, and which these are."""


@lru_cache(maxsize=_CACHED_SHARES)
def _shares(name: str, value: str | float | None) -> int:
    """What the value of a field adds to the sum of each key, side by side."""
    number = value_id(value)
    return _side_by_side(number * factor for factor in _FACTORS_OF[name])


def key_ids(jobs: Jobs) -> Ids:
    """Ids of each job's keys: [n, len(KEYS)] uint64, `NO_KEY` where a job has no such key.

    Columns other than those of `REQUEST_SCHEMA` are not looked at.
    """
    if len(jobs) <= _SOLE_JOBS and not isinstance(jobs, pl.DataFrame):
        return np.array(list(map(_sole_key_ids, jobs)), np.uint64).reshape(-1, len(KEYS))
    values = _few_value_ids(jobs) if len(jobs) <= _FEW_JOBS else _many_value_ids(as_frame(jobs))
    ids: Ids = values.T @ _FACTORS + _OFFSETS
    ids >>= _ONE  # leaves room for ABOVE_ALL_IDS ...
    ids |= _ONE  # ... and for NO_KEY
    nulls = values[: len(_TEXTS)] == _NULL
    if nulls.any():
        ids[nulls.T @ _NEEDED] = NO_KEY
    return ids


def _sole_key_ids(row: Row) -> Ids:
    """The same as `key_ids` for one job: all sums at once, since one of them is no dearer."""
    together = _OFFSETS_TOGETHER
    for name in _FIELDS:
        together += _shares(name, row[name])
    lanes = np.frombuffer(together.to_bytes(_LANE_BYTES * len(KEYS), "little"), "<u8")
    ids: Ids = lanes[::2] >> _ONE
    ids |= _ONE
    for name, keys in _NEED.items():
        if row[name] is None:
            ids[keys] = NO_KEY
    return ids


def _few_value_ids(jobs: Jobs) -> Ids:
    """Ids of the values of `_FIELDS`: [len(_FIELDS), n]."""
    values: Iterable[str | float | None]
    if isinstance(jobs, pl.DataFrame):
        values = chain.from_iterable(jobs.get_column(name).to_list() for name in _FIELDS)
    else:
        values = [row[name] for name in _FIELDS for row in jobs]
    ids: Ids = np.fromiter(map(value_id, values), np.uint64, len(_FIELDS) * len(jobs))
    return ids.reshape(len(_FIELDS), len(jobs))


def _many_value_ids(jobs: pl.DataFrame) -> Ids:
    """The same as `_few_value_ids`."""
    return np.array([column_ids(jobs.get_column(name)) for name in _FIELDS])


def keys_fingerprint() -> str:
    """Changes whenever the same job would get other ids, or other keys."""
    schema = dict.fromkeys(_TEXTS, pl.String) | dict.fromkeys(_FIELDS[len(_TEXTS) :], pl.Float64)
    job = {name: "probe" if name in TEXT_FIELDS else 1.5 for name in _FIELDS}
    ids = key_ids(pl.DataFrame([job], schema=schema))
    return blake2b(repr(KEYS).encode() + ids.tobytes(), digest_size=16).hexdigest()
