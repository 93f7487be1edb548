"""Features of tokens: each job that history shows, as seen from the asked one.

Differences of logarithms (ratios) and equalities, so that nothing in them belongs to one site. A
difference where either side is missing is 0; codes that are missing equal none.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from rt_predictor.features.scalars import scalar
from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN, Float
from rt_predictor.history.token_keys import FINISHED_SLOTS, SLOTS
from rt_predictor.jobs.states import Ending


@dataclass(frozen=True)
class TokenFeature:
    """One feature of every token."""

    name: str
    unit: str
    why: str


TOKEN_FEATURES: tuple[TokenFeature, ...] = (
    TokenFeature("age", "log s / 3", "what ended long ago says less"),
    TokenFeature("gap", "log s / 3", "jobs that are submitted together are one campaign"),
    TokenFeature("runtime", "log s", "short and long jobs are different work"),
    TokenFeature("runtime_to_backoff", "log ratio", "usual among the most alike jobs, or not?"),
    TokenFeature("runtime_to_user", "log ratio", "usual for the user, or not?"),
    TokenFeature("limit_used", "log ratio", "share of its own limit that it used"),
    TokenFeature("runtime_to_scale", "log ratio", "share of the asked job's limit"),
    TokenFeature("limit_to_asked", "log ratio", "as long a limit as the asked job's?"),
    TokenFeature("cores_to_asked", "log ratio", "as large?"),
    TokenFeature("nodes_to_asked", "log ratio", "as wide?"),
    TokenFeature("mem_to_asked", "log ratio", "as much memory?"),
    TokenFeature("gpus_to_asked", "log ratio", "as many GPUs?"),
    TokenFeature("same_partition", "flag", "the same partition"),
    TokenFeature("same_qos", "flag", "the same quality of service"),
    TokenFeature("same_account", "flag", "the same project"),
    TokenFeature("same_user", "flag", "the same user"),
    TokenFeature("same_name", "flag", "the same program"),
    TokenFeature("same_gpu_type", "flag", "the same kind of GPU"),
    TokenFeature("same_array", "flag", "part of the same array or heterogeneous job"),
    TokenFeature("same_request", "flag", "the same cores and limit"),
    TokenFeature("completed", "flag", "it ran as long as it wanted"),
    TokenFeature("same_limit", "flag", "the same limit"),
    TokenFeature("same_cores", "flag", "the same size"),
    TokenFeature("same_nodes", "flag", "the same width"),
    TokenFeature("same_mem", "flag", "the same memory"),
    TokenFeature("same_gpus", "flag", "the same number of GPUs"),
    TokenFeature("failed", "flag", "failures are short, and come in series"),
    TokenFeature("unknown_end", "flag", "how it ended is not known"),
    TokenFeature("at_limit", "flag", "it ran until its limit"),
)
"""In the order of the rows; first the numbers, then the flags."""

TYPICAL_LOG_S = 8.0
"""Logarithm of 50 min: what runtimes are measured by where nothing else is known."""

_ROW = {feature.name: row for row, feature in enumerate(TOKEN_FEATURES)}
_LIKE_COLUMNS = slice(_ROW["runtime_to_scale"], _ROW["completed"] + 1)
"""Rows that begin as columns of the tokens, from `_COLUMNS`."""
_COLUMNS = slice(COLUMN["log_runtime"], COLUMN["state"] + 1)
_ASKED = slice(_COLUMNS.start + 1, _COLUMNS.stop - 1)
"""Columns that asked jobs have as well: sizes and codes."""
_NUMBERS = slice(_ROW["age"], _ROW["gpus_to_asked"] + 1)
_AGES = slice(_ROW["age"], _ROW["gap"] + 1)
_ANCHORED = slice(_ROW["runtime"], _ROW["runtime_to_user"] + 1)
_DIFFERENCES = slice(_ROW["runtime_to_scale"], _ROW["gpus_to_asked"] + 1)
_SIZES = slice(_ROW["limit_to_asked"], _ROW["gpus_to_asked"] + 1)
_EQUALITIES = slice(_ROW["same_partition"], _ROW["completed"] + 1)
_SAME_SIZES = slice(_ROW["same_limit"], _ROW["same_gpus"] + 1)
_ENDS = slice(_ROW["failed"], _ROW["unknown_end"] + 1)
_AT_LIMIT = slice(_ROW["at_limit"], _ROW["at_limit"] + 1)
_RUNTIME, _LIMIT, _USED, _STATE = (
    _ROW[name] for name in ("runtime_to_scale", "limit_to_asked", "limit_used", "completed")
)
_FIRST_FLAG = _EQUALITIES.start
_ALIKE_FLAGS, _SIZE_FLAGS, _END_FLAGS, _LIMIT_FLAG = (
    slice(rows.start - _FIRST_FLAG, rows.stop - _FIRST_FLAG)
    for rows in (_EQUALITIES, _SAME_SIZES, _ENDS, _AT_LIMIT)
)
"""Among the flags alone."""
_RUNNING = slice(FINISHED_SLOTS, SLOTS)
_ZERO, _ONE, _THIRD = scalar(0), scalar(1), scalar(1 / 3)
_FAILED_OR_UNKNOWN = np.array([[Ending.FAILED], [Ending.UNKNOWN]], dtype=np.float32)
LEAST_KNOWN: Final = np.array(
    [0] * (_SIZES.stop - _SIZES.start) + [1] * (_STATE - _EQUALITIES.start), np.float32
)
"""Of sizes and codes that are known."""


def missing_columns(columns: Float) -> Float:
    """Return 1 where sizes and codes of asked jobs [n, len(COLUMNS)] are missing: [n, 13]."""
    known = columns[:, _ASKED] >= LEAST_KNOWN  # of NaN this is false
    missing: Float = (~known).astype(np.float32)
    return missing


def compared_with(columns: Float, missing: Float, scale: Float) -> Float:
    """Return what tokens are compared with: [n, 15], for each of the columns from log runtime on.

    Args:
        columns: [n, len(COLUMNS)] of the asked jobs.
        missing: `missing_columns` of them.
        scale: [n] logarithm of what runtimes are measured by.
    """
    compared = columns[:, _COLUMNS].copy()
    compared[:, 1:-1] -= missing  # a missing code becomes -1, which no token has
    compared[:, 0] = scale
    compared[:, -1] = Ending.COMPLETED
    return compared


def put_columns(rows: Float, runtime_s: Float, tokens: AskedTokens) -> None:
    """Write columns of tokens where features are made of them, and their runtimes.

    Args:
        rows: [n, len(TOKEN_FEATURES), SLOTS] room for the features.
        runtime_s: [n, SLOTS] room for runtimes; of running jobs it is what has elapsed.
        tokens: what history says.
    """
    columns = tokens.columns.transpose(0, 2, 1)
    rows[:, _LIKE_COLUMNS] = columns[:, _COLUMNS]
    runtime_s[:] = columns[:, COLUMN["runtime_s"]]
    elapsed_s = runtime_s[:, _RUNNING]
    np.maximum(tokens.elapsed_s[:, _RUNNING], _ONE, out=elapsed_s)
    np.log(elapsed_s, out=rows[:, _RUNTIME, _RUNNING])
    np.subtract(rows[:, _RUNTIME], rows[:, _LIMIT], out=rows[:, _USED])


def put_flags(rows: Float, compared: Float) -> None:
    """Write all flags.

    Args:
        rows: as `put_columns` leaves them.
        compared: of `compared_with`.
    """
    flags = np.empty((len(rows), len(TOKEN_FEATURES) - _FIRST_FLAG, SLOTS), dtype=np.bool_)
    np.equal(rows[:, _EQUALITIES], compared[:, 6:, None], out=flags[:, _ALIKE_FLAGS])
    np.equal(rows[:, _SIZES], compared[:, 1:6, None], out=flags[:, _SIZE_FLAGS])
    state = rows[:, _STATE : _STATE + 1]
    np.equal(state, _FAILED_OR_UNKNOWN, out=flags[:, _END_FLAGS])
    np.greater_equal(rows[:, _USED : _USED + 1], _ZERO, out=flags[:, _LIMIT_FLAG])
    rows[:, _FIRST_FLAG:] = flags


def used_limits(rows: Float) -> Float:
    """Return the share of its limit that each token used: [n, SLOTS] logarithm, NaN for none."""
    return rows[:, _USED]


def put_numbers(rows: Float, compared: Float, anchors: Float, log_ages: Float) -> None:
    """Write all numbers.

    Args:
        rows: as `put_flags` leaves them.
        compared: of `compared_with`.
        anchors: [n, 3] logarithms of what runtimes are compared with: a typical one, the backoff
            median and the user's median; NaN for none.
        log_ages: [n, 2, SLOTS] of age and gap, NaN for none.
    """
    np.subtract(rows[:, _RUNTIME : _RUNTIME + 1], anchors[:, :, None], out=rows[:, _ANCHORED])
    differences = rows[:, _DIFFERENCES]
    np.subtract(differences, compared[:, :6, None], out=differences)
    np.multiply(log_ages, _THIRD, out=rows[:, _AGES])
    numbers = rows[:, _NUMBERS]
    np.copyto(numbers, _ZERO, where=np.isnan(numbers))
