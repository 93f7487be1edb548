"""The matrix that the graph takes: one row of float32 a job, the same for training and serving.

Seen as [ROWS, SLOTS], a job is what its tokens and the rules propose, which of them there are, what
it is as a whole, and then one row for each feature of its tokens. So the first layer over tokens is
one product with what comes in, and nothing is copied to take it apart.

A job has the same bits alone and among others: no sum runs over jobs.
"""

from datetime import UTC, tzinfo

import numpy as np

from rt_predictor.features.asked import JOBS_AT_ONCE, Asked
from rt_predictor.features.proposals import PROPOSALS, propose
from rt_predictor.features.request_features import (
    REQUEST_FEATURES,
    anchors_of,
    count_kinds,
    put_habits,
    put_history,
    request_features,
    request_quantities,
    scale_of,
)
from rt_predictor.features.scalars import scalar
from rt_predictor.features.site import site_figures
from rt_predictor.features.token_features import (
    TOKEN_FEATURES,
    compared_with,
    missing_columns,
    put_columns,
    put_flags,
    put_numbers,
    used_limits,
)
from rt_predictor.history.asked_tokens import AskedTokens, some_tokens
from rt_predictor.history.columns import COLUMN, Float
from rt_predictor.history.token_keys import SLOTS
from rt_predictor.jobs.rules import MAX_RUNTIME_S

COPIES = SLOTS + len(PROPOSALS)
"""Points of the support that are copied: runtimes of the tokens, then what rules propose."""

ABSENT = -1e9
"""Added to the score of a point that is not there: its weight is then exactly 0."""

LEAST_S = 1.0
"""Nothing proposes less."""

LONGEST_S = MAX_RUNTIME_S
"""Where there is no limit, nothing proposes more."""

PAST_LIMIT = 4.0
"""Runtimes of tokens propose at most so many limits; rules at most one."""

_RULE_ROWS = -(-(len(PROPOSALS) + 2) // SLOTS)
_ABSENT_ROW = 1 + _RULE_ROWS
_REQUEST = (_ABSENT_ROW + 1) * SLOTS + len(PROPOSALS)
_REQUEST_ROWS = -(-(len(PROPOSALS) + len(REQUEST_FEATURES)) // SLOTS)

PROPOSED = slice(0, COPIES)
"""Columns of what is copied, in s."""
SCALE = slice(COPIES, COPIES + 1)
"""Column of the scale of relative runtimes, in s: the limit, else what is usual at the site."""
CAP = slice(COPIES + 1, COPIES + 2)
"""Column of the most that a runtime on the absolute grid says, in s."""
MISSING = slice(_ABSENT_ROW * SLOTS, _ABSENT_ROW * SLOTS + COPIES)
"""Columns that are `ABSENT` where nothing is to be copied, else 0."""
REQUEST = slice(_REQUEST, _REQUEST + len(REQUEST_FEATURES))
"""Columns of the features of the request."""

TOKEN_ROW = _ABSENT_ROW + 1 + _REQUEST_ROWS
"""First row of the features of tokens; there is one row for each of `TOKEN_FEATURES`."""
ROWS = TOKEN_ROW + len(TOKEN_FEATURES)
FEATURE_NAMES: tuple[str, ...] = (
    *(feature.name for feature in REQUEST_FEATURES),
    *(f"token_{feature.name}" for feature in TOKEN_FEATURES),
)
"""Features in the order in which a graph reads them, those of each token after the request's."""
WIDTH = ROWS * SLOTS

LIMITS: Float = np.array([PAST_LIMIT] * SLOTS + [1.0] * len(PROPOSALS), dtype=np.float32)
"""[COPIES] how many limits each copy says at most."""
_ABSENT, _LEAST_S, _LONGEST_S = scalar(ABSENT), scalar(LEAST_S), scalar(LONGEST_S)


def assemble(
    asked: Asked, tokens: AskedTokens, zone: tzinfo = UTC, out: Float | None = None
) -> Float:
    """Return the matrix of n jobs: [n, WIDTH] float32, all finite.

    Args:
        asked: [n] the jobs.
        tokens: what history says of them.
        zone: time zone of the site, for features of the calendar.
        out: [n, WIDTH] room for it: zeros, or the matrix of other jobs.
    """
    matrix = np.zeros((len(asked), WIDTH), dtype=np.float32) if out is None else out
    if not len(asked):
        return matrix
    site = site_figures(tokens.site_columns).take(tokens.site_of, axis=0)
    if len(asked) <= JOBS_AT_ONCE:
        _put(matrix, asked, tokens, site, zone)
        return matrix
    for first in range(0, len(asked), JOBS_AT_ONCE):
        jobs = slice(first, first + JOBS_AT_ONCE)
        _put(matrix[jobs], asked[jobs], some_tokens(tokens, jobs), site[jobs], zone)
    return matrix


def _put(matrix: Float, asked: Asked, tokens: AskedTokens, site: Float, zone: tzinfo) -> None:
    """Write the matrix of a few jobs: [n, WIDTH]."""
    rows = matrix.reshape(-1, ROWS, SLOTS)
    features = rows[:, TOKEN_ROW:]
    missing = missing_columns(asked.columns)
    quantities = request_quantities(asked, missing, site, zone)
    scale = scale_of(quantities)
    compared = compared_with(asked.columns, missing, scale)
    limit_s = asked.limit_s.astype(np.float32)

    put_columns(features, rows[:, 0], tokens)
    put_flags(features, compared)
    log_limit = asked.columns[:, COLUMN["log_limit"]]
    proposed = propose(tokens.columns, used_limits(features), log_limit, limit_s)
    counted = count_kinds(tokens)
    log_ages = put_history(quantities, tokens, counted, proposed)
    put_numbers(features, compared, anchors_of(quantities), log_ages)
    put_habits(quantities, features, counted)

    matrix[:, REQUEST] = request_features(quantities)
    matrix[:, SLOTS:COPIES] = proposed.runtimes_s
    _put_bounds(matrix, limit_s, scale)


def _put_bounds(matrix: Float, limit_s: Float, scale: Float) -> None:
    """Write scale and cap, which copies are missing, and cut what is proposed.

    Args:
        matrix: [n, WIDTH] in which copies are NaN where there are none.
        limit_s: [n] NaN for none.
        scale: [n] logarithm of the scale.
    """
    scale_s = matrix[:, SCALE.start]
    np.exp(scale, out=scale_s)
    np.copyto(scale_s, limit_s, where=~np.isnan(limit_s))
    cap_s = np.fmin(limit_s, _LONGEST_S, out=matrix[:, CAP.start])
    copies_s = matrix[:, PROPOSED]
    missing = matrix[:, MISSING]
    missing[:] = np.isnan(copies_s)
    missing *= _ABSENT
    np.fmin(copies_s, cap_s[:, None] * LIMITS, out=copies_s)
    np.maximum(copies_s, _LEAST_S, out=copies_s)
