"""Plain rules that say by themselves how long a job will run: points of the support.

Trees and nets cannot copy a number; these do, and the network weighs them by the job at hand. All
of them are medians of a few tokens, so one sort finds them; how regular the tokens are is read
from the same order.
"""

from dataclasses import dataclass
from itertools import compress, filterfalse
from math import isnan, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.asked import JOBS_AT_ONCE
from rt_predictor.features.scalars import scalar
from rt_predictor.history.columns import COLUMN, COLUMNS, Float
from rt_predictor.history.token_keys import FINISHED_SLOTS, SLOTS, slots_of


@dataclass(frozen=True)
class Proposal:
    """One rule: the median of the first `jobs` of the tokens of one kind."""

    name: str
    tokens: str
    jobs: int
    why: str


BACKOFF, RATIO = "backoff_median5", "user_ratio5"

PROPOSALS: tuple[Proposal, ...] = (
    Proposal("last2", "own", 2, "mean of the user's last two (Tsafrir, Etsion, Feitelson 2007)"),
    Proposal("user_median5", "own", 5, "median of the user's last five"),
    Proposal("request_median5", "same_request", 5, "median of five of this size, near this limit"),
    Proposal("request_first", "same_request", 1, "the one of this size that is nearest in limit"),
    Proposal("name_median4", "same_name", 4, "median of the last four of this name"),
    Proposal("strangers_median6", "strangers", 6, "median of others with this limit there"),
    Proposal("account_median3", "account", 3, "median of others of the project"),
    Proposal(
        RATIO, "own", 5, "this limit times the median share that the last five used of theirs"
    ),
    Proposal(BACKOFF, "own", 8, "median of the most alike: this size, like limits, the user"),
)
"""In the order of the columns. The last two are more than a median: see `propose`."""

BACKS_OFF_TO: tuple[str, ...] = ("request_median5", BACKOFF, "user_median5", "strangers_median6")
"""Medians among which the backoff takes the first that there is; its own is of like limits."""

LIKE_LIMIT = 0.41
"""Limits are alike whose logarithms differ by at most so much: half as much more."""

SPREADS: tuple[tuple[str, str, str], ...] = (
    ("own_lower", "own", "lower quartile"),
    ("own_upper", "own", "upper quartile"),
    ("request_lower", "same_request", "lower quartile"),
    ("request_upper", "same_request", "upper quartile"),
    ("request_least", "same_request", "least"),
    ("request_most", "same_request", "most"),
)
"""Runtimes that say how regular the last eight are: name, kind of tokens, index in their order."""

_ORDER = ("least", "lower quartile", "upper quartile", "most")
_SPREAD_OF = ("own", "same_request")


class Proposed(NamedTuple):
    """What rules say of n jobs, in s; NaN where there is nothing to go by."""

    runtimes_s: Float
    """[n, len(PROPOSALS)]"""
    spreads_s: Float
    """[n, len(SPREADS)]"""


_NAMES = [proposal.name for proposal in PROPOSALS]
_RATIO, _BACKOFF = _NAMES.index(RATIO), _NAMES.index(BACKOFF)
_BACKS_OFF_TO = [_NAMES.index(name) for name in BACKS_OFF_TO]
_WIDTH = 8
"""Tokens of a window, at most."""

_KINDS = [(rule.tokens, rule.jobs) for rule in PROPOSALS] + [(kind, _WIDTH) for kind in _SPREAD_OF]
_WINDOWS = len(_KINDS)
_FOUND = 2 + len(_ORDER)
"""What is read from each window: both middle runtimes, then those of `_ORDER`."""

_RUNTIME, _LOG_RUNTIME, _LIMIT = (
    COLUMN[name] for name in ("runtime_s", "log_runtime", "log_limit")
)
_NAN, _HALF, _LIKE_LIMIT = scalar(np.nan), scalar(0.5), scalar(LIKE_LIMIT)
_FIRST_OWN = slots_of("own").start
_SHARES = slice(_FIRST_OWN, _FIRST_OWN + PROPOSALS[_RATIO].jobs)
_ALIKE = slice(_FIRST_OWN, _FIRST_OWN + PROPOSALS[_BACKOFF].jobs)


def _places_of_windows() -> NDArray[np.intp]:
    """Return which of the flat columns of all tokens the windows hold."""
    width = len(COLUMNS)
    none = FINISHED_SLOTS * width + _RUNTIME  # that of a running job
    indices = np.full((_WINDOWS, _WIDTH), none, dtype=np.intp)
    for row, (kind, jobs) in zip(indices, _KINDS, strict=True):
        slots = np.arange(SLOTS)[slots_of(kind)][:jobs]
        row[: len(slots)] = slots * width + _RUNTIME
    return indices.ravel()


def _places_in_order() -> NDArray[np.intp]:
    """Return where to look in a sorted window that holds so many: [_WIDTH + 1, _FOUND]."""
    count = np.arange(_WIDTH + 1)
    last = np.maximum(count - 1, 0)
    return np.stack([last // 2, count // 2, 0 * last, last // 4, last - last // 4, last], axis=1)


_HELD, _IN_ORDER = _places_of_windows(), _places_in_order()
_STARTS = np.arange(0, JOBS_AT_ONCE * _WINDOWS * _WIDTH, _WIDTH).reshape(-1, _WINDOWS, 1)
_CHOICE_STARTS = np.arange(0, JOBS_AT_ONCE * len(BACKS_OFF_TO), len(BACKS_OFF_TO))
_SLOTS_OF = {rule.tokens: slots_of(rule.tokens) for rule in PROPOSALS}
_SPREADS_OF_ONE = [(_SPREAD_OF.index(kind), _ORDER.index(which)) for _, kind, which in SPREADS]
_NO_SPREAD = (nan,) * len(_ORDER)
_SPREADS = np.array(
    [
        (len(PROPOSALS) + _SPREAD_OF.index(kind)) * _FOUND + 2 + _ORDER.index(which)
        for _, kind, which in SPREADS
    ]
)


def propose(columns: Float, used: Float, log_limit: Float, limit_s: Float) -> Proposed:
    """Return what each rule says, and how regular tokens are.

    Args:
        columns: [n, SLOTS, len(COLUMNS)] of the tokens, n at most `JOBS_AT_ONCE`.
        used: [n, SLOTS] logarithm of the share of their limits that they used, NaN for none.
        log_limit: [n] logarithm of the limits of the asked jobs, NaN for none.
        limit_s: [n] limits of the asked jobs, NaN for none.
    """
    jobs, rules = len(columns), len(PROPOSALS)
    windows = columns.reshape(jobs, -1).take(_HELD, axis=1).reshape(jobs, _WINDOWS, _WIDTH)
    windows[:, _RATIO, : PROPOSALS[_RATIO].jobs] = used[:, _SHARES]
    apart = np.abs(columns[:, _ALIKE, _LIMIT] - log_limit[:, None])
    np.copyto(windows[:, _BACKOFF], _NAN, where=~(apart <= _LIKE_LIMIT))
    known = np.equal(windows, windows)
    count = np.bitwise_count(known.view(np.uint64))[:, :, 0]  # a window is eight bytes of 0 or 1
    windows.sort(axis=2)  # NaN comes last
    indices = _IN_ORDER.take(count, axis=0)
    indices += _STARTS[:jobs]
    found: Float = windows.reshape(-1).take(indices)
    runtimes_s: Float = found[:, :rules, 0] + found[:, :rules, 1]
    runtimes_s *= _HALF
    ratio = runtimes_s[:, _RATIO]
    np.exp(ratio, out=ratio)
    ratio *= limit_s
    choices = runtimes_s.take(_BACKS_OFF_TO, axis=1)
    best = np.isnan(choices).argmin(axis=1) + _CHOICE_STARTS[:jobs]
    runtimes_s[:, _BACKOFF] = choices.reshape(-1).take(best)
    return Proposed(runtimes_s, found.reshape(jobs, -1).take(_SPREADS, axis=1))


def propose_for_one(
    columns: Float, asked: Float, limit_s: float
) -> tuple[list[float], list[float]]:
    """Return the same for one job, in numbers of Python: they become those bits as float32.

    Args:
        columns: [SLOTS, len(COLUMNS)] of the tokens.
        asked: [len(COLUMNS)] of the job.
        limit_s: its limit as float32, NaN for none.
    """
    limits = columns[_ALIKE, _LIMIT]
    alike = (np.abs(limits - asked[_LIMIT]) <= _LIKE_LIMIT).tolist()
    used = (columns[_SHARES, _LOG_RUNTIME] - limits[: PROPOSALS[_RATIO].jobs]).tolist()
    slots_s = columns[:, _RUNTIME].tolist()
    # Slots without a job come last, so the first known ones are the known ones among the first.
    ran_s = {kind: [*filterfalse(isnan, slots_s[slots])] for kind, slots in _SLOTS_OF.items()}
    runtimes_s = [_median(ran_s[rule.tokens][: rule.jobs]) for rule in PROPOSALS]
    ratio = _median([*filterfalse(isnan, used)])
    runtimes_s[_RATIO] = float(np.exp(np.float32(ratio))) * limit_s
    runtimes_s[_BACKOFF] = _median([*compress(ran_s["own"], alike)])
    runtimes_s[_BACKOFF] = next(
        (runtimes_s[rule] for rule in _BACKS_OFF_TO if not isnan(runtimes_s[rule])), nan
    )
    spreads_s = [_spread(ran_s[kind][:_WIDTH]) for kind in _SPREAD_OF]
    return runtimes_s, [spreads_s[kind][which] for kind, which in _SPREADS_OF_ONE]


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    count = len(ordered)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) * 0.5 if count else nan


def _spread(values: list[float]) -> tuple[float, ...]:
    """Return the values of `_ORDER`."""
    ordered = sorted(values)
    if not ordered:
        return _NO_SPREAD
    last = len(ordered) - 1
    return ordered[0], ordered[last // 4], ordered[last - last // 4], ordered[last]
