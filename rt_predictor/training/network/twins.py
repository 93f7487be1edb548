"""Twins of jobs: the same jobs with another time limit, as history would answer them.

A limit alone does not make a job longer, nor may a shorter one make it more likely to reach it. The
network learns that from twins: some with a longer limit, some with one that a user might ask for
who knows how long such jobs take, some with any. The outcome is known of the job only, so the
distribution of a twin is to follow that of its job.

Logs show another thing too: who asks for a shorter limit than usual mostly runs another, shorter
job. Round limits go on to mean that, the less so where the user has run a job of that name before.
A limit that is not round was computed, from what the job took or from a recommendation: it means
the same job.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.asked import Asked
from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN, Float, Times
from rt_predictor.history.log_tokens import LogTokens
from rt_predictor.history.token_keys import NO_ROW, slots_of

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
nothing would keep the distributions of such twins near the truth."""

GUESSES_S: Final = 1800.0
"""Multiples of it are guesses: 36 to 100 % of all limits are, by log, in the median 64 %."""

NAMED: Final = 0.2
"""How surely a job is the same, whatever its limit, where the user has run one of its name."""

_MINUTE_S = 60.0
"""Limits of twins are whole minutes, as those of jobs."""

_LAST = (slots_of("own"), slots_of("same_request"))


@dataclass(frozen=True)
class Twins:
    """The n jobs of a log with other limits."""

    asked: Asked
    """[n]"""
    tokens: LogTokens
    """[n] their tokens: other jobs have limits near theirs"""
    boosted: Float
    """[n, BOOSTERS] logarithms of runtimes over the scale that boosters propose; NaN for none"""


def twin_limits_s(limit_s: Times, tokens: LogTokens, random: np.random.Generator) -> Times:
    """Return other limits for n jobs: [n] s, NaN for jobs without one.

    Args:
        limit_s: [n] limits of the jobs, NaN for none.
        tokens: [n] their tokens.
        random: draws the limits.
    """
    jobs = len(limit_s)
    kind, of_free = random.random((2, jobs))
    longer = limit_s * np.exp(random.uniform(*LONGER_BY, jobs))
    known = _known_runtimes_s(tokens, random) * np.exp(random.uniform(*KNOWN_BY, jobs))
    free = limit_s * np.exp(random.uniform(*ANY_BY, jobs))
    of_known = (of_free < KNOWN_SHARE / (1 - LONGER_SHARE)) & ~np.isnan(known)
    other = np.maximum(np.where(of_known, known, free), LEAST_LIMIT_S)
    minutes = np.ceil(np.where(kind < LONGER_SHARE, longer, other) / _MINUTE_S)
    twin_limit_s: Times = np.minimum(minutes * _MINUTE_S, MOST * limit_s)
    twin_limit_s[np.isnan(limit_s)] = np.nan
    return twin_limit_s


def same_job(limit_s: Times, twin_limit_s: Times, tokens: AskedTokens) -> Float:
    """Return how surely n jobs stay the same with another limit: [n], 0 where a log decides.

    Args:
        limit_s: [n] limits of the jobs.
        twin_limit_s: [n] the other limits.
        tokens: [n] of the twins.
    """
    computed = (twin_limit_s < limit_s) & (twin_limit_s % GUESSES_S > 0)
    named = (tokens.rows[:, slots_of("same_name")] != NO_ROW).any(axis=1)
    sure: Float = np.maximum(computed, NAMED * named).astype(np.float32)
    return sure


def _known_runtimes_s(tokens: LogTokens, random: np.random.Generator) -> Times:
    """Return what one of the user's last jobs took, for each of n jobs: [n], NaN where none is."""
    rows = np.concatenate([tokens.rows[:, slots] for slots in _LAST], axis=1)
    jobs, slots = rows.shape
    picked = rows[np.arange(jobs), random.integers(0, slots, jobs)]
    runtime_s: Times = tokens.known.columns[picked, COLUMN["runtime_s"]].astype(np.float64)
    return runtime_s


def boosted_of_twins(boosted: Float, limit_s: Times, twin_limit_s: Times) -> Float:
    """Return the proposals of boosters for twins: [n, BOOSTERS].

    Proposals are the same seconds as for the jobs, so another share of the limit.
    """
    shift: NDArray[np.float64] = np.nan_to_num(np.log(twin_limit_s / limit_s))
    return (boosted - shift[:, None]).astype(np.float32)
