"""Which numbers are read from the distributions of jobs, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.jobs.schema import Jobs
from rt_predictor.model.distribution import Distribution, interval_levels

Array = NDArray[np.float64]

LEAST_CONFIDENCE = 0.5
"""Of a recommended limit: one that half of all jobs exceed is no help."""


@dataclass(frozen=True)
class Views:
    """What is read from a distribution beside its median."""

    level: float
    """Of the interval."""
    confidence: float
    """Probability with which the recommended limit is enough."""
    quantiles: tuple[float, ...] = ()
    """Levels of the runtimes that are wanted beside."""

    @cached_property
    def levels(self) -> tuple[float, ...]:
        """Levels that are read: of the median, the interval, the limit and the quantiles."""
        return (0.5, *interval_levels(self.level), self.confidence, *self.quantiles)

    def asked(self, level: float | None, quantiles: Sequence[float] | None) -> "Views":
        """Return these, but for what a job asks for.

        A level that is asked for is that of the recommended limit too, from `LEAST_CONFIDENCE` on.
        """
        wanted = tuple(quantiles or ())
        if level is None:
            return Views(self.level, self.confidence, wanted) if wanted else self
        confidence = level if level >= LEAST_CONFIDENCE else self.confidence
        return Views(level, confidence, wanted)


def views_of(jobs: Jobs, usual: Views) -> tuple[tuple[Views, ...], NDArray[np.intp]]:
    """Return the views that n jobs ask for, each once, and which of them is each job's: [n].

    Args:
        jobs: with or without the columns of `ASKED_SCHEMA`.
        usual: of jobs that ask for nothing else.
    """
    count = len(jobs)
    if not isinstance(jobs, pl.DataFrame):
        each = [view_of_row(row, usual) for row in jobs]
    elif "confidence_level" in jobs.columns or "quantiles" in jobs.columns:
        names = [n for n in ("confidence_level", "quantiles") if n in jobs.columns]
        each = [view_of_row(row, usual) for row in jobs.select(names).iter_rows(named=True)]
    else:
        each = []
    found = tuple(dict.fromkeys(each)) or (usual,)
    if len(found) == 1:
        return found, np.zeros(count, dtype=np.intp)
    number = {views: index for index, views in enumerate(found)}
    return found, np.fromiter((number[views] for views in each), np.intp, count)


def view_of_row(row: Mapping[str, Any], usual: Views) -> Views:
    """Return the views that one job asks for."""
    level, quantiles = row.get("confidence_level"), row.get("quantiles")
    return usual if level is None and not quantiles else usual.asked(level, quantiles)


@dataclass(frozen=True)
class Read:
    """Runtimes of n jobs, in s."""

    median: Array
    """[n]"""
    lower: Array
    """[n]"""
    upper: Array
    """[n]"""
    exceeded: Array
    """[n] what a recommended limit must exceed"""
    quantiles: Array
    """[n, k] those asked for; NaN after a job's last"""


def read(distribution: Distribution, views: Sequence[Views], view_of: NDArray[np.intp]) -> Read:
    """Read what n jobs ask for, as `views_of` gives it."""
    if len(views) == 1:
        found = distribution.quantiles_s(views[0].levels)
    else:
        most = max(len(one.quantiles) for one in views)
        found = np.full((len(distribution), _FIRST_QUANTILE + most), np.nan)
        for index, one in enumerate(views):
            rows = np.flatnonzero(view_of == index)
            found[rows, : len(one.levels)] = distribution[rows].quantiles_s(one.levels)
    columns = found.T
    return Read(columns[0], columns[1], columns[2], columns[3], found[:, _FIRST_QUANTILE:])


_FIRST_QUANTILE = 4
"""Index of the first in `Views.levels`."""
