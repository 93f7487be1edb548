"""Twins of jobs: the same jobs with another time limit, as history would answer them.

A limit alone does not make a job longer, nor may a shorter one make it more likely to reach it. The
network learns that from twins: some with a longer limit, some with one that a user might ask for
who knows how long such jobs take, some with any. What is said of a twin follows what is said of the
job.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.asked import Asked
from rt_predictor.history.columns import COLUMN, Float, Times
from rt_predictor.history.log_tokens import LogTokens
from rt_predictor.history.token_keys import slots_of

LONGER_SHARE: Final = 0.4
"""Share of the twins whose limit is longer."""

LONGER_BY: Final = (0.05, 0.7)
"""Range of the logarithm of how much longer it is."""

KNOWN_SHARE: Final = 0.5
"""Share of the twins whose limit lies above what one of the user's last jobs took."""

KNOWN_BY: Final = (0.0, 0.7)
"""Range of the logarithm of how far above."""

ANY_BY: Final = (-4.0, 0.7)
"""Range of the logarithm of the limits of all others, over the job's own."""

MOST: Final = 4.0
"""Limits of twins are at most so many of the job's own."""

LEAST_LIMIT_S: Final = 900.0
"""Limits of twins that are not longer are at least this. Few logs have jobs with shorter limits, so
nothing keeps what is said of such twins near the truth."""

_LAST = (slots_of("own"), slots_of("same_request"))


@dataclass(frozen=True)
class Twins:
    """The n jobs of a log with other limits."""

    asked: Asked
    """[n]"""
    tokens: LogTokens
    """[n] what history says of them: near limits are others"""
    boosted: Float
    """[n, BOOSTERS] logarithm of what boosters say, over the scale; NaN for nothing"""


def twin_limits_s(limit_s: Times, tokens: LogTokens, random: np.random.Generator) -> Times:
    """Return other limits for n jobs: [n] s, NaN for jobs without one.

    Args:
        limit_s: [n] limits of the jobs, NaN for none.
        tokens: [n] what history says of them.
        random: draws the limits.
    """
    jobs = len(limit_s)
    kind, of_free = random.random((2, jobs))
    longer = limit_s * np.exp(random.uniform(*LONGER_BY, jobs))
    known = _known_runtimes_s(tokens, random) * np.exp(random.uniform(*KNOWN_BY, jobs))
    free = limit_s * np.exp(random.uniform(*ANY_BY, jobs))
    of_known = (of_free < KNOWN_SHARE / (1 - LONGER_SHARE)) & ~np.isnan(known)
    other = np.minimum(np.maximum(np.where(of_known, known, free), LEAST_LIMIT_S), MOST * limit_s)
    found: Times = np.where(kind < LONGER_SHARE, longer, other)
    found[np.isnan(limit_s)] = np.nan
    return found


def _known_runtimes_s(tokens: LogTokens, random: np.random.Generator) -> Times:
    """Return what one of the user's last jobs took, for each of n jobs: [n], NaN where none is."""
    rows = np.concatenate([tokens.rows[:, slots] for slots in _LAST], axis=1)
    jobs, slots = rows.shape
    picked = rows[np.arange(jobs), random.integers(0, slots, jobs)]
    runtime_s: Times = tokens.known.columns[picked, COLUMN["runtime_s"]].astype(np.float64)
    return runtime_s


def boosted_of_twins(boosted: Float, limit_s: Times, twin_limit_s: Times) -> Float:
    """Return what boosters say of twins: [n, BOOSTERS].

    They say as many seconds as of the jobs, so another share of the limit.
    """
    shift: NDArray[np.float64] = np.nan_to_num(np.log(twin_limit_s / limit_s))
    return (boosted - shift[:, None]).astype(np.float32)
