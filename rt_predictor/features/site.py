"""What the jobs that stand for a site usually look like."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rt_predictor.features.token_features import TYPICAL_LOG_S
from rt_predictor.history.columns import COLUMN, COLUMNS, Float
from rt_predictor.history.token_keys import SITE_SLOTS

SITE_FIGURES: tuple[str, ...] = (
    "site_log_runtime",
    "site_log_limit",
    "site_log_cores",
    "site_log_nodes",
    "site_log_mem",
    "site_log_gpus",
    "site_at_limit",
    "site_known",
)
"""Means of the columns of that name, the share of jobs that ran until their limit, and whether
there are any jobs. Where there are none their runtime is a typical one."""

_MEANS = slice(COLUMN["log_runtime"], COLUMN["log_gpus"] + 1)
_WIDTH = _MEANS.stop - _MEANS.start

_REMEMBERED = 16
"""Sets of jobs whose figures are kept: the set of a site changes with every 16th job that ends."""


class _Last(NamedTuple):
    """The last single set of jobs that was asked for, and its figures."""

    columns: Float
    figures: Float


_last = [_Last(np.empty((0, 0, 0), np.float32), np.empty((0, 0), np.float32))]


def site_figures(site_columns: Float) -> Float:
    """Return the figures of s sets of jobs: [s, len(SITE_FIGURES)], NaN where nothing is known.

    site_columns: [s, SITE_SLOTS, len(COLUMNS)], NaN in empty slots.
    """
    if len(site_columns) != 1:
        return _figures(site_columns)
    last = _last[0]
    if last.columns is site_columns:  # as it is for one job after the other
        return last.figures
    figures = _remembered(site_columns.tobytes())
    _last[0] = _Last(site_columns, figures)
    return figures


@lru_cache(maxsize=_REMEMBERED)
def _remembered(site_columns: bytes) -> Float:
    values = np.frombuffer(site_columns, dtype=np.float32)
    return _figures(values.reshape(1, SITE_SLOTS, len(COLUMNS)))


def _figures(site_columns: Float) -> Float:
    columns = site_columns[:, :, _MEANS]
    values = np.zeros((*columns.shape[:2], 2 * _WIDTH + 1), dtype=np.float32)
    known = ~np.isnan(columns)
    np.copyto(values[:, :, :_WIDTH], columns, where=known)
    values[:, :, _WIDTH:-1] = known
    np.greater_equal(columns[:, :, 0], columns[:, :, 1], out=values[:, :, -1])
    sums = np.add.reduce(values, axis=1)
    counts = sums[:, _WIDTH : 2 * _WIDTH]
    figures = np.full((len(columns), len(SITE_FIGURES)), np.nan, dtype=np.float32)
    np.divide(sums[:, :_WIDTH], counts, out=figures[:, :_WIDTH], where=counts > 0)
    some = counts[:, 0] > 0
    np.divide(sums[:, -1], counts[:, 0], out=figures[:, _WIDTH], where=some)
    figures[~some, 0] = TYPICAL_LOG_S
    figures[:, -1] = some
    return figures
