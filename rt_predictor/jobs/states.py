"""States of a job: one set of words for every way in, and what each says of how a job ended.

The words are those of Slurm, which most sites know, in capitals.
https://slurm.schedmd.com/job_state_codes.html
"""

import re
from collections.abc import Mapping
from enum import IntEnum

import polars as pl


class Ending(IntEnum):
    """Ending of a job, as far as it says what its runtime is worth.

    Only of a job that completed or failed the runtime is its own; the others would have run longer.
    """

    UNKNOWN = 0
    COMPLETED = 1
    FAILED = 2
    TIMEOUT = 3
    CANCELLED = 4
    LOST = 5
    """Preempted, requeued, or lost with its node."""


ENDINGS: Mapping[str, Ending] = {
    "COMPLETED": Ending.COMPLETED,
    "FAILED": Ending.FAILED,
    "OUT_OF_MEMORY": Ending.FAILED,
    "TIMEOUT": Ending.TIMEOUT,
    "DEADLINE": Ending.TIMEOUT,
    "CANCELLED": Ending.CANCELLED,
    "REVOKED": Ending.CANCELLED,
    "PREEMPTED": Ending.LOST,
    "NODE_FAIL": Ending.LOST,
    "BOOT_FAIL": Ending.LOST,
    "LAUNCH_FAILED": Ending.LOST,
    "RECONFIG_FAIL": Ending.LOST,
    "REQUEUED": Ending.LOST,
}
"""States of jobs that have ended."""

WAITING = frozenset(
    {
        "PENDING",
        "EXPEDITING",
        "REQUEUE_FED",
        "REQUEUE_HOLD",
        "RESV_DEL_HOLD",
        "SPECIAL_EXIT",
    }
)
"""States of jobs that wait to start."""

ACTIVE = frozenset(
    {
        "RUNNING",
        "SUSPENDED",
        "COMPLETING",
        "CONFIGURING",
        "POWER_UP_NODE",
        "RESIZING",
        "SIGNALING",
        "STAGE_OUT",
        "STOPPED",
        "UPDATE_DB",
    }
)
"""States of jobs that have started and not ended."""

KNOWN = WAITING | ACTIVE | ENDINGS.keys()
"""All states."""

CODES: Mapping[str, str] = {
    "PD": "PENDING",
    "R": "RUNNING",
    "S": "SUSPENDED",
    "CF": "CONFIGURING",
    "CG": "COMPLETING",
    "CD": "COMPLETED",
    "F": "FAILED",
    "CA": "CANCELLED",
    "TO": "TIMEOUT",
    "NF": "NODE_FAIL",
    "OOM": "OUT_OF_MEMORY",
    "PR": "PREEMPTED",
    "BF": "BOOT_FAIL",
    "DL": "DEADLINE",
    "RQ": "REQUEUED",
}
"""Slurm's short code -> state. Other systems give the same letters another meaning."""

SWF_STATES: Mapping[int, str] = {0: "FAILED", 1: "COMPLETED", 5: "CANCELLED"}
"""Status of the Standard Workload Format -> state."""
SWF_PARTIAL = frozenset({2, 3, 4})
"""Statuses of parts of a job that was stopped and resumed; the whole has a line of its own."""

_SPELLINGS = {"CANCELED": "CANCELLED", "OUT_OF_ME": "OUT_OF_MEMORY"}
"""Other spellings; the second is how sacct cuts a word to the width of its column."""
_WORD = r"([^ \t\r\n+]+)"


def normal_state(text: str | None) -> str | None:
    """The word of a state: CANCELLED of "cancelled by 1000", "Canceled" and "CANCELLED+".

    A word that is not known stays as it is, in capitals; None where there is none.
    """
    found = re.search(_WORD, (text or "").upper())
    return _SPELLINGS.get(found[0], found[0]) if found else None


def normal_states(state: pl.Expr) -> pl.Expr:
    """`normal_state` of a column."""
    return state.str.to_uppercase().str.extract(_WORD).replace(_SPELLINGS)


def ending_of(state: str | None) -> Ending:
    """Return the ending of a job in a state, as `normal_state` gives it."""
    return ENDINGS.get(state or "", Ending.UNKNOWN)


def endings(state: pl.Expr) -> pl.Expr:
    """`ending_of` of a column, as Int8."""
    codes = {word: int(ending) for word, ending in ENDINGS.items()}
    return state.replace_strict(codes, default=int(Ending.UNKNOWN), return_dtype=pl.Int8)


def unknown_states(states: pl.Series) -> dict[str, int]:
    """Count the words of a column, as `normal_states` gives it, that are no known state.

    Returns word -> how many, the commonest first.
    """
    words = states.drop_nulls()
    counts = words.filter(~words.is_in([*KNOWN])).value_counts(sort=True)
    return dict(counts.rows())
