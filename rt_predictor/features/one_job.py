"""The matrix of one job alone, as most callers ask: the same bits as those of `matrix.assemble`.

For one job it is the number of NumPy's calls that takes time, not what they do. So what is a few
numbers is made of numbers of Python, and all features of tokens come from one array by two takes:
what is compared, and what it is compared with. Python computes in float64; one sum, difference,
product or quotient of two float32, rounded afterwards, has the bits of that in float32 (Figueroa
1995).
"""

from datetime import tzinfo
from functools import lru_cache
from math import isnan
from operator import sub
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.calendar import calendar_at
from rt_predictor.features.matrix import (
    ABSENT,
    CAP,
    COPIES,
    LEAST_S,
    LIMITS,
    LONGEST_S,
    MISSING,
    PROPOSED,
    REQUEST,
    ROWS,
    SCALE,
    TOKEN_ROW,
    WIDTH,
)
from rt_predictor.features.proposals import BACKOFF, PROPOSALS, propose_for_one
from rt_predictor.features.request_features import (
    ROUND,
    TOKEN_KINDS,
    WATCHED_IN_FLIGHT,
    request_features,
)
from rt_predictor.features.scalars import scalar
from rt_predictor.features.site import SITE_FIGURES, site_figures
from rt_predictor.features.token_features import LEAST_KNOWN, TOKEN_FEATURES, TYPICAL_LOG_S
from rt_predictor.history.asked_tokens import AskedTokens
from rt_predictor.history.columns import COLUMN, COLUMNS, Float
from rt_predictor.history.in_flight import IN_FLIGHT
from rt_predictor.history.token_keys import FINISHED_SLOTS, NO_ROW, RUNNING_SLOTS, SLOTS, slots_of
from rt_predictor.jobs.states import Ending

_CACHED_JOBS = 1 << 12
"""Asked jobs of which what follows from their fields is remembered, as in `history.columns`."""

_RUNTIME = COLUMN["runtime_s"]
_ASKED: Final = tuple(name for name, _, _ in COLUMNS[COLUMN["log_limit"] : COLUMN["state"]])
"""Sizes and codes, which asked jobs and tokens have."""
_ASKED_COLUMNS = slice(COLUMN["log_limit"], COLUMN["state"])
_SIZES = COLUMN["log_gpus"] + 1 - COLUMN["log_limit"]

_ENDINGS: Final = {ending.name: float(ending) for ending in Ending}
_OF_ASKED: Final = (*_ASKED, "scale", "typical", BACKOFF, "user_median5", *_ENDINGS)
"""What tokens are compared with, in the order in which it stands behind their columns."""

_ITS_OWN_LIMIT: Final = "log_limit of the token"

_COMPARED: Final[dict[str, tuple[str, str]]] = {
    "runtime": ("log_runtime", "typical"),
    "runtime_to_backoff": ("log_runtime", BACKOFF),
    "runtime_to_user": ("log_runtime", "user_median5"),
    "limit_used": ("log_runtime", _ITS_OWN_LIMIT),
    "runtime_to_scale": ("log_runtime", "scale"),
    **{
        f"{size}_to_asked": (f"log_{size}", f"log_{size}")
        for size in ("limit", "cores", "nodes", "mem", "gpus")
    },
    **{
        f"same_{name}": (f"{name}_id", f"{name}_id")
        for name in ("partition", "qos", "account", "user", "name", "gpu_type", "array", "request")
    },
    "completed": ("state", "COMPLETED"),
    **{
        f"same_{size}": (f"log_{size}", f"log_{size}")
        for size in ("limit", "cores", "nodes", "mem", "gpus")
    },
    "failed": ("state", "FAILED"),
    "unknown_end": ("state", "UNKNOWN"),
}
"""Of each feature of tokens: a column of theirs, and what it is compared with. Numbers are
differences, flags are equalities."""


def _indices() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where both sides of `_COMPARED` stand in the one array: [features * SLOTS] each."""
    elapsed = SLOTS * len(COLUMNS)
    asked = {name: elapsed + RUNNING_SLOTS + index for index, name in enumerate(_OF_ASKED)}
    of_tokens = np.arange(elapsed).reshape(SLOTS, len(COLUMNS))
    of_tokens[FINISHED_SLOTS:, COLUMN["log_runtime"]] = elapsed + np.arange(RUNNING_SLOTS)
    theirs = [of_tokens[:, COLUMN[column]] for column, _ in _COMPARED.values()]
    others = [
        of_tokens[:, COLUMN["log_limit"]] if other == _ITS_OWN_LIMIT else [asked[other]] * SLOTS
        for _, other in _COMPARED.values()
    ]
    return np.concatenate(theirs), np.concatenate(others)


_THEIRS, _OTHERS = _indices()
_FEATURES = [feature.name for feature in TOKEN_FEATURES]
_FIRST = TOKEN_ROW * SLOTS


def _rows(first: str, last: str) -> slice:
    """Return which columns of the matrix hold the features of tokens from one to another."""
    start, stop = _FEATURES.index(first), _FEATURES.index(last) + 1
    return slice(_FIRST + start * SLOTS, _FIRST + stop * SLOTS)


_AGES, _DIFFERENCES = _rows("age", "gap"), _rows("runtime", "gpus_to_asked")
_NUMBERS = slice(_AGES.start, _DIFFERENCES.stop)
_EQUALITIES, _AT_LIMIT = _rows("same_partition", "unknown_end"), _rows("at_limit", "at_limit")
_USED = _rows("limit_used", "limit_used")
_DIFFERED = _DIFFERENCES.stop - _DIFFERENCES.start
_KINDS = [(slots_of(kind).start, slots_of(kind).stop) for kind in TOKEN_KINDS]
_RUNNING, _OWN = slots_of("running"), slots_of("own")
_WATCHED = [[name for name, _, _ in IN_FLIGHT].index(name) for name in WATCHED_IN_FLIGHT]
_ROUND_S = [seconds for _, seconds in ROUND]
_SITE_RUNTIME = SITE_FIGURES.index("site_log_runtime")
_FIRST_RULE = len(TOKEN_KINDS) + len(IN_FLIGHT)
_RULES = slice(_FIRST_RULE, _FIRST_RULE + len(PROPOSALS))
_RULE = {rule.name: 2 * SLOTS + _FIRST_RULE + index for index, rule in enumerate(PROPOSALS)}
_NOT_RUNNING: Float = np.full(RUNNING_SLOTS, np.nan, dtype=np.float32)
_AT_LEAST_ONE = [scalar(max(count, 1)) for count in range(SLOTS + 1)]
_ZERO, _ONE, _THIRD = scalar(0), scalar(1), scalar(1 / 3)
_ABSENT, _LEAST_S = scalar(ABSENT), scalar(LEAST_S)


class _Request(NamedTuple):
    """What is asked for."""

    quantities: tuple[float, ...]
    """The first of `QUANTITIES`, up to the scale, which is the last of them"""
    compared: tuple[float, ...]
    """Of `_ASKED`, as tokens are compared with it"""


def assemble_one(
    asked_columns: Float, submit_s: float, limit_s: float, tokens: AskedTokens, zone: tzinfo
) -> Float:
    """Return the matrix of one job: [1, WIDTH], as `assemble`.

    Args:
        asked_columns: [len(COLUMNS)] of the job, as history compares them.
        submit_s: Unix s.
        limit_s: its time limit, NaN for none.
        tokens: what history says of it.
        zone: time zone of the site, for features of the calendar.
    """
    matrix = np.zeros((1, WIDTH), dtype=np.float32)
    row, columns = matrix[0], tokens.columns[0]
    job = _asked_of(asked_columns.tobytes(), limit_s)
    request = _request_of(job, calendar_at(submit_s, zone), tokens)
    limit_s = float(np.float32(limit_s))
    log_elapsed = _put_runtimes(row, tokens)

    runtimes_s, spreads_s = propose_for_one(columns, asked_columns, limit_s)
    rows, in_flight = tokens.rows[0].tolist(), tokens.in_flight[0].tolist()
    counts = [stop - start - rows[start:stop].count(NO_ROW) for start, stop in _KINDS]
    history = np.array([*counts, *in_flight, *runtimes_s, *spreads_s], dtype=np.float32)
    row[SLOTS:COPIES] = history[_RULES]
    logs = _logs(tokens, history)
    _put_token_features(row, columns, log_elapsed, request, logs)

    own = matrix.reshape(1, ROWS, SLOTS)[:, TOKEN_ROW:, _OWN]
    habits = np.add.reduce(own, axis=2)
    habits /= _AT_LEAST_ONE[counts[0]]
    watched = [in_flight[index] for index in _WATCHED]
    known = [not isnan(value) for value in (*watched, *runtimes_s)]
    own_and_history = (*habits[0].tolist(), *logs[2 * SLOTS :].tolist())
    quantities = [*request.quantities, *own_and_history, *known]
    row[REQUEST] = request_features(np.array([quantities], dtype=np.float32))
    _put_bounds(row, limit_s, request.quantities[-1])
    return matrix


def _request_of(job: "_Asked", calendar: tuple[float, ...], tokens: AskedTokens) -> _Request:
    site = site_figures(tokens.site_columns)[tokens.site_of.item()].tolist()
    scale = site[_SITE_RUNTIME] if job.log_limit is None else job.log_limit
    return _Request((*job.quantities, *calendar, *site, scale), job.compared)


class _Asked(NamedTuple):
    """What follows from the fields of a job alone, whenever it is asked for."""

    quantities: tuple[float, ...]
    """Those of the groups from `constants` to `round`"""
    compared: tuple[float, ...]
    log_limit: float | None


@lru_cache(maxsize=_CACHED_JOBS)
def _asked_of(columns: bytes, limit_s: float) -> _Asked:
    values = np.frombuffer(columns, dtype=np.float32)[_ASKED_COLUMNS].tolist()
    missing = [float(not value >= least) for value, least in zip(values, LEAST_KNOWN, strict=True)]
    round_limits = [float(limit_s % seconds == 0) for seconds in _ROUND_S]
    quantities = (0.0, TYPICAL_LOG_S, *values[:_SIZES], *missing[:-1], *round_limits)
    # A missing code becomes -1, which no token has.
    compared = tuple(map(sub, values, missing))
    return _Asked(quantities, compared, None if missing[0] else values[0])


def _put_runtimes(row: Float, tokens: AskedTokens) -> Float:
    """Write the runtimes of tokens. Returns the logarithms of those that run: [RUNNING_SLOTS]."""
    row[:SLOTS] = tokens.columns[0, :, _RUNTIME]
    if tokens.rows.item(FINISHED_SLOTS) == NO_ROW:
        return _NOT_RUNNING
    elapsed_s = np.maximum(tokens.elapsed_s[0, _RUNNING], _ONE)
    row[_RUNNING] = elapsed_s
    log_elapsed: Float = np.log(elapsed_s)
    return log_elapsed


def _logs(tokens: AskedTokens, history: Float) -> Float:
    """Return the logarithms of ages, gaps and history: [2 * SLOTS + history], NaN for none."""
    history[_FIRST_RULE:] -= _ONE  # runtimes are at least 1 s; all else is from 0
    logs = np.concatenate((tokens.age_s[0], tokens.gap_s[0], history))
    np.maximum(logs, _ZERO, out=logs)
    logs += _ONE
    np.log(logs, out=logs)
    return logs


def _put_token_features(
    row: Float, columns: Float, log_elapsed: Float, request: _Request, logs: Float
) -> None:
    anchors = (TYPICAL_LOG_S, logs.item(_RULE[BACKOFF]), logs.item(_RULE["user_median5"]))
    of_asked = [*request.compared, request.quantities[-1], *anchors, *_ENDINGS.values()]
    values = np.concatenate((columns.reshape(-1), log_elapsed, np.array(of_asked, np.float32)))
    theirs, others = values.take(_THEIRS), values.take(_OTHERS)
    np.multiply(logs[: 2 * SLOTS], _THIRD, out=row[_AGES])
    np.subtract(theirs[:_DIFFERED], others[:_DIFFERED], out=row[_DIFFERENCES])
    row[_EQUALITIES] = theirs[_DIFFERED:] == others[_DIFFERED:]
    row[_AT_LIMIT] = row[_USED] >= _ZERO
    numbers = row[_NUMBERS]
    np.copyto(numbers, _ZERO, where=np.isnan(numbers))


def _put_bounds(row: Float, limit_s: float, scale: float) -> None:
    """Write scale and cap, which copies are missing, and cut what is proposed."""
    row[SCALE] = np.exp(np.float32(scale)) if isnan(limit_s) else limit_s
    cap_s = limit_s if limit_s < LONGEST_S else LONGEST_S
    row[CAP] = cap_s
    copies_s = row[PROPOSED]
    np.multiply(np.isnan(copies_s), _ABSENT, out=row[MISSING])
    np.fmin(copies_s, LIMITS * row[CAP], out=copies_s)
    np.maximum(copies_s, _LEAST_S, out=copies_s)
