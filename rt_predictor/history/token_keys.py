"""The jobs that a prediction looks at, its tokens: under which keys, and how many of each.

Declared as data. Slots of one key stand together, the latest job first, or the one nearest in time
limit; a slot without a job is empty. Every number here is part of what a model is trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rt_predictor.history.value_ids import NULL_ID, Ids, hash_bytes, value_id
from rt_predictor.jobs.schema import Row


@dataclass(frozen=True)
class TokenKey:
    """One way to find finished jobs."""

    name: str
    fields: tuple[str, ...]
    """Fields of a job that must be equal."""
    slots: int
    """Jobs that are taken, those that ended last."""
    why: str
    by_others: bool = False
    """Whether jobs of the asking user are left out: of the last `WALKED`, the first so many by
    others are taken. A job without a user is another's."""
    nearest: bool = False
    """Whether, of the last `WALKED`, those are taken whose time limit is nearest to that of the
    asked job, the nearest first; of equally near ones, those that ended last."""

    @property
    def walked(self) -> int:
        """Finished jobs that are looked through, those that ended last."""
        return WALKED if self.by_others or self.nearest else self.slots


TOKEN_KEYS: tuple[TokenKey, ...] = (
    TokenKey("own", ("user",), 10, "the user's last jobs"),
    TokenKey(
        "same_request",
        ("user", "processors_req"),
        6,
        "the same size, near this limit",
        nearest=True,
    ),
    TokenKey("same_name", ("user", "job_name"), 4, "the same job of the user"),
    TokenKey(
        "strangers",
        ("partition",),
        6,
        "others with like limits there",
        by_others=True,
        nearest=True,
    ),
    TokenKey("account", ("account",), 3, "others of the project", by_others=True),
)

NEEDED_FIELDS: frozenset[str] = frozenset({"user", "account", "job_name"})
"""Texts that say who or what a job is: those that lack one have nothing in common, so no such key.
Any other field that is missing is a value like others."""

WALKED = 64
"""Finished jobs of a key that are looked through for those of others, or of a near limit."""

RUNNING_SLOTS = 3
"""The user's running jobs that are taken, those that started last; they stand after the others."""

QUEUED = 128
"""The user's last submitted jobs that are looked through for running and waiting ones."""

SITE_STEP, SITE_SLOTS = 16, 64
"""Of all finished jobs in the order of their end every 16th stands for the site: the last 64."""

FINISHED_SLOTS = sum(key.slots for key in TOKEN_KEYS)
SLOTS = FINISHED_SLOTS + RUNNING_SLOTS

NO_ROW = -1
"""Row of an empty slot."""

NO_KEY = 0
"""Id of a key that a job does not have."""


def slots_of(name: str) -> slice:
    """Return where the slots of a key stand: one of `TOKEN_KEYS`, or "running"."""
    first = 0
    for key in TOKEN_KEYS:
        if key.name == name:
            return slice(first, first + key.slots)
        first += key.slots
    if name != "running":
        raise KeyError(name)
    return slice(first, SLOTS)


USER = [key.name for key in TOKEN_KEYS].index("own")
"""Column of key ids that tells users apart."""

_CACHED_KEYS = 1 << 16
"""Keys of asked jobs whose ids are remembered; about 300 bytes each."""

_MASK = 2**64 - 1
_QUEUE = hash_bytes(b"queue") & ~1
_SUMS = tuple(
    (
        hash_bytes(key.name.encode()),
        tuple((name, hash_bytes(f"{key.name}/{name}".encode()) | 1) for name in key.fields),
        tuple(NEEDED_FIELDS.intersection(key.fields)),
    )
    for key in TOKEN_KEYS
)
"""Of each key: where its sum begins, the factor of each field, and the fields it needs."""

_FIELDS = tuple((number, key.fields) for number, key in enumerate(TOKEN_KEYS))
KEY_FIELDS: tuple[str, ...] = tuple(sorted({name for key in TOKEN_KEYS for name in key.fields}))


def queue_id(user_id: int) -> int:
    """Return the id under which a user's submitted jobs are kept, by the id of the key "own"."""
    return user_id ^ _QUEUE if user_id else NO_KEY


def queue_ids(user_ids: Ids) -> Ids:
    """Return the same for many users: [n]."""
    return np.where(user_ids == NO_KEY, user_ids, user_ids ^ np.uint64(_QUEUE))


def key_ids_of(row: Row) -> tuple[int, ...]:
    """Return the ids of one job's keys, in the order of `TOKEN_KEYS`; `NO_KEY` where it has none.

    The id of a key is the sum of the values' ids times odd factors of the key's own, made odd.
    """
    return tuple([_key_id(number, *[row[name] for name in fields]) for number, fields in _FIELDS])


@lru_cache(maxsize=_CACHED_KEYS)
def _key_id(number: int, *values: str | float | None) -> int:
    total, factors, needed = _SUMS[number]
    for (name, factor), value in zip(factors, values, strict=True):
        if value is None and name in needed:
            return NO_KEY
        total += value_id(value) * factor
    return total & _MASK | 1


def key_ids_of_all(values: Mapping[str, Ids]) -> Ids:
    """Return the same for n jobs: [n, len(TOKEN_KEYS)] uint64.

    values: ids [n] of their values of `KEY_FIELDS`.
    """
    ids = np.empty((len(values[KEY_FIELDS[0]]), len(TOKEN_KEYS)), dtype=np.uint64)
    for number, (offset, factors, needed) in enumerate(_SUMS):
        key = np.full(len(ids), offset, dtype=np.uint64)
        for name, factor in factors:
            key += values[name] * np.uint64(factor)
        key |= np.uint64(1)
        for name in needed:
            key[values[name] == np.uint64(NULL_ID)] = NO_KEY
        ids[:, number] = key
    return ids
