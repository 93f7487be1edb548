"""States of a job: one set of words for every way in, and what each says of how a job ended.

The words are those of Slurm, which most sites know, in capitals.
https://slurm.schedmd.com/squeue.html#SECTION_JOB-STATE-CODES
"""

import re
from collections.abc import Mapping
from enum import IntEnum

import polars as pl


class Ending(IntEnum):
    """How a job ended, as far as it says what its runtime is worth.

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
    "REQUEUED": Ending.LOST,
}
"""States of jobs that have ended."""

WAITING = frozenset(
    {"PENDING", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"},
)
"""States of jobs that wait to start."""

ACTIVE = frozenset(
    {
        "RUNNING",
        "SUSPENDED",
        "COMPLETING",
        "CONFIGURING",
        "RESIZING",
        "SIGNALING",
        "STAGE_OUT",
        "STOPPED",
    }
)
"""States of jobs that have started and not ended."""

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
    """How a job in this state (as `normal_state` gives it) ended."""
    return ENDINGS.get(state or "", Ending.UNKNOWN)


def endings(state: pl.Expr) -> pl.Expr:
    """`ending_of` of a column, as Int8."""
    codes = {word: int(ending) for word, ending in ENDINGS.items()}
    return state.replace_strict(codes, default=int(Ending.UNKNOWN), return_dtype=pl.Int8)
