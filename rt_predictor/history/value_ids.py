"""Values of a job as 64-bit numbers that are the same in every process, and so can be stored.

A text becomes a hash of its bytes (BLAKE2b), a number its bits well mixed (the finalizer of
SplitMix64: Steele, Lea, Flood 2014). A code is what is left of such a number in the 24 bits that a
float32 holds exactly: good enough to tell equal from different, which is all that a token needs.
"""

from functools import lru_cache
from hashlib import blake2b
from struct import Struct

import numpy as np
import polars as pl
from numpy.typing import NDArray

Ids = NDArray[np.uint64]

NO_CODE = 0.0
"""Code of a value that is missing."""

_CACHED_VALUES = 1 << 16
"""Values whose hashes are remembered; about 250 bytes each."""

_id_of_text: "dict[str | None, int]" = {}
"""Ids of texts that columns held of late, at most `_CACHED_VALUES`."""

_FEW = 1 << 14
"""Texts that are quicker as a list of Python's than in an expression of Polars."""

_MASK = 2**64 - 1
_DOUBLE, _BITS = Struct("<d"), Struct("<Q")
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_CODE_SHIFT = 64 - 24


def hash_bytes(value: bytes) -> int:
    """Return the 64-bit hash of some bytes."""
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "little")


NULL_ID = hash_bytes(b"\xff")  # no text has these bytes in UTF-8
"""Id of a value that is missing."""


@lru_cache(maxsize=_CACHED_VALUES)
def value_id(value: str | float | None) -> int:
    """Return the id of one value."""
    if value is None:
        return NULL_ID
    if isinstance(value, str):
        return hash_bytes(value.encode())
    # 0.0 is added so that 0 and -0, which are equal, have one id.
    (bits,) = _BITS.unpack(_DOUBLE.pack(value + 0.0))
    for shift, factor in _MIX:
        bits = (bits ^ bits >> shift) * factor & _MASK
    return int(bits ^ bits >> _LAST_SHIFT)


def column_ids(values: pl.Series) -> Ids:
    """Return the ids of a column: [n].

    Past the cache of `value_id`: many would drive out all others.
    """
    if values.dtype != pl.String:
        return _number_ids(values.cast(pl.Float64).to_numpy())
    if len(values) <= _FEW:
        return _text_ids(values.to_list())
    distinct = values.unique()
    ids = pl.Series(map(value_id.__wrapped__, distinct.to_list()), dtype=pl.UInt64)
    return values.replace_strict(distinct, ids).to_numpy().astype(np.uint64, copy=False)


def frame_ids(values: pl.DataFrame) -> dict[str, Ids]:
    """Return the ids of each column of a frame: [n] each, by its name."""
    return {name: column_ids(values.get_column(name)) for name in values.columns}


def _text_ids(texts: "list[str | None]") -> Ids:
    """Return the ids of a few texts: [n]; those that were met of late are not hashed again."""
    known = _id_of_text
    try:
        return np.fromiter(map(known.__getitem__, texts), np.uint64, len(texts))
    except KeyError:
        pass
    found = {text: known.get(text) or value_id.__wrapped__(text) for text in set(texts)}
    if len(known) + len(found) > _CACHED_VALUES:
        known.clear()
    known.update(found)
    return np.fromiter(map(found.__getitem__, texts), np.uint64, len(texts))


def _number_ids(values: NDArray[np.float64]) -> Ids:
    """Return the ids of numbers, NaN where one is missing: [n]."""
    bits = (values + 0.0).view(np.uint64)
    for shift, factor in _MIX:
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(_LAST_SHIFT)
    bits[np.isnan(values)] = np.uint64(NULL_ID)
    return bits


def code_of(some_id: int) -> float:
    """Return the code of a value by its id: a whole number from 1 to 2**24 - 1, or `NO_CODE`."""
    return NO_CODE if some_id == NULL_ID else float(max(some_id >> _CODE_SHIFT, 1))


def codes_of(ids: Ids) -> NDArray[np.float32]:
    """Return the codes of values by their ids: [...] each."""
    numbers = np.maximum(ids >> np.uint64(_CODE_SHIFT), np.uint64(1))
    codes: NDArray[np.float32] = numbers.astype(np.float32)
    codes[ids == np.uint64(NULL_ID)] = NO_CODE
    return codes
