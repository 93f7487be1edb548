"""Identical jobs are scored once: the jobs of an array share all that is known when they come.

On a log of a large site about every third job of a batch is unlike those before it. To find them
costs about 0.1 us a job in bulk, to score one 5 us and more.
"""

from collections.abc import Callable, Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.jobs.asked import frame_of
from rt_predictor.jobs.schema import WITHOUT_EFFECT, Jobs, Row
from rt_predictor.serving.predictions import Predictions

_FEW_JOBS = 256
"""Jobs that are compared one by one: it costs less than to set Polars to work."""


def predict_distinct(predict: Callable[[Jobs], Predictions], jobs: Jobs) -> Predictions:
    """Predicts jobs in order, every one that differs from all before it once.

    Jobs are identical where all columns are that have an effect: so the answers are those that
    `predict` gives for all of them. Raises what `predict` raises.
    """
    if len(jobs) < 2:
        return predict(jobs)
    which = _which_few(jobs) if _are_few(jobs) else _which_many(frame_of(jobs))
    if which is None:
        return predict(jobs)
    first = np.unique(which, return_index=True)[1]
    some = jobs[first] if isinstance(jobs, pl.DataFrame) else [jobs[row] for row in first]
    return predict(some).rows(which)


def _are_few(jobs: Jobs) -> bool:
    """Whether jobs are compared one by one; Polars gives lists, which cannot be."""
    lists = isinstance(jobs, pl.DataFrame) and "quantiles" in jobs.columns
    return len(jobs) <= _FEW_JOBS and not lists


def _which_few(jobs: Jobs) -> NDArray[np.intp] | None:
    """[n] for each job the number of the distinct job that it is, counted as they come.

    None where all differ.
    """
    numbers: dict[tuple[object, ...], int] = {}
    if isinstance(jobs, pl.DataFrame):
        rows: Iterable[tuple[object, ...]] = jobs.select(_that_matter(jobs)).iter_rows()
    else:
        rows = map(what_matters, jobs)
    which = [numbers.setdefault(row, len(numbers)) for row in rows]
    return None if len(numbers) == len(jobs) else np.array(which, dtype=np.intp)


def _which_many(jobs: pl.DataFrame) -> NDArray[np.intp] | None:
    """The same as `_which_few`."""
    groups = jobs.with_row_index(" place").group_by(_that_matter(jobs), maintain_order=True)
    places = groups.agg(" place")[" place"]
    if len(places) == len(jobs):
        return None
    which = np.empty(len(jobs), dtype=np.intp)
    which[places.explode().to_numpy()] = np.repeat(np.arange(len(places)), places.list.len())
    return which


def what_matters(job: Row) -> tuple[object, ...]:
    """Return the values of a job that its answer may depend on."""
    return tuple(value for name, value in job.items() if name not in WITHOUT_EFFECT)


def _that_matter(jobs: pl.DataFrame) -> list[str]:
    return [name for name in jobs.columns if name not in WITHOUT_EFFECT]
