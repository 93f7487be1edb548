"""Knowledge that is left out at random while the network learns, as some sites do not record it.

So the network also serves logs without names, accounts or starts, and relies on no single field.
A field is left out before features are made, and with it all that is derived from it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.asked import Asked
from rt_predictor.history.asked_tokens import NO_JOB, AskedTokens
from rt_predictor.history.columns import COLUMN
from rt_predictor.history.token_keys import NO_ROW, slots_of

Lost = NDArray[np.bool_]
"""[len(KNOWLEDGE), n] what each of n jobs learns without."""


@dataclass(frozen=True)
class Knowledge:
    """Fields that are known or unknown together."""

    name: str
    left_out: float
    """Share of jobs that learn without it."""
    columns: tuple[str, ...] = ()
    """Of asked jobs and tokens."""
    tokens: tuple[str, ...] = ()
    """Kinds that are only found by it."""
    in_flight: bool = False


KNOWLEDGE: tuple[Knowledge, ...] = (
    Knowledge("in flight", 0.25, tokens=("running",), in_flight=True),
    Knowledge("name", 0.15, ("name_id",), ("same_name",)),
    Knowledge("account", 0.1, ("account_id",), ("account",)),
    Knowledge("partition", 0.1, ("partition_id",)),
    Knowledge("qos", 0.1, ("qos_id",)),
    Knowledge("memory", 0.1, ("log_mem",)),
    Knowledge("nodes", 0.1, ("log_nodes",)),
    Knowledge("gpus", 0.1, ("log_gpus", "gpu_type_id")),
    Knowledge("array", 0.1, ("array_id",)),
    Knowledge("ends", 0.1, ("state",)),
    Knowledge(
        "user", 0.02, ("user_id",), ("own", "same_request", "same_name", "running"), in_flight=True
    ),
    Knowledge("limit", 0.02, ("log_limit", "request_id")),
)


def draw_lost(jobs: int, random: np.random.Generator) -> Lost:
    """Draw what each of n jobs learns without."""
    return np.stack([random.random(jobs) < knowledge.left_out for knowledge in KNOWLEDGE])


def leave_out(asked: Asked, tokens: AskedTokens, lost: Lost) -> tuple[Asked, AskedTokens]:
    """Return n jobs and their tokens, each without the knowledge that it lost.

    Args:
        asked: [n] the jobs.
        tokens: [n] their tokens.
        lost: what each learns without.
    """
    columns, seen = asked.columns.copy(), tokens.columns.copy()
    rows, in_flight = tokens.rows.copy(), tokens.in_flight.copy()
    limit_s = asked.limit_s
    for knowledge, without in zip(KNOWLEDGE, lost, strict=True):
        for name in knowledge.columns:
            columns[without, COLUMN[name]] = NO_JOB[COLUMN[name]]
            seen[without, :, COLUMN[name]] = NO_JOB[COLUMN[name]]
        for kind in knowledge.tokens:
            rows[without, slots_of(kind)] = NO_ROW
        if knowledge.in_flight:
            in_flight[without] = np.nan
        if "log_limit" in knowledge.columns:
            limit_s = np.where(without, np.nan, limit_s)
    empty = rows == NO_ROW
    seen[empty] = NO_JOB
    left = tokens._replace(
        rows=rows,
        columns=seen,
        age_s=np.where(empty, np.float32(np.nan), tokens.age_s),
        gap_s=np.where(empty, np.float32(np.nan), tokens.gap_s),
        elapsed_s=np.where(empty, np.float32(np.nan), tokens.elapsed_s),
        in_flight=in_flight,
    )
    return Asked(columns, asked.submit_s, limit_s), left
