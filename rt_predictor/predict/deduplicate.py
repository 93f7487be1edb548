"""Jobs that repeat are answered once: within a run, and after one another.

The jobs of an array share all that is known when they come. On a log of a large site about every
third job of a batch is unlike those before it: to find them costs about 0.1 us a job in bulk, to
answer one 5 us and more.

Where they are asked for one by one, all with the same submit time, the answer to the first is kept
for the others. An answer follows from the job, the model and what is known of jobs; it is kept by
the first and the last, of one model. So none can be stale: once another event is known, what was
kept is not found any more.
"""

from collections.abc import Callable, Hashable
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.jobs.schema import WITHOUT_EFFECT, Jobs, Row, Rows
from rt_predictor.predict.predictions import Predictions

MOST_ANSWERS = 1024
"""Answers that are kept, the latest; about 3 kB each."""


def predict_distinct(predict: Callable[[Jobs], Predictions], jobs: Jobs) -> Predictions:
    """Predicts jobs in order, every one that differs from all before it once.

    Jobs are identical where all columns are that have an effect: so the answers are those that
    `predict` gives for all of them. Raises what `predict` raises.
    """
    if len(jobs) < 2:
        return predict(jobs)
    which = _which_many(jobs) if isinstance(jobs, pl.DataFrame) else _which_few(jobs)
    if which is None:
        return predict(jobs)
    first = np.unique(which, return_index=True)[1]
    some = jobs[first] if isinstance(jobs, pl.DataFrame) else [jobs[row] for row in first]
    return predict(some).rows(which)


def _which_few(jobs: Rows) -> NDArray[np.intp] | None:
    """[n] for each job the number of the distinct job that it is, counted as they come.

    None where all differ.
    """
    numbers: dict[tuple[object, ...], int] = {}
    which = [numbers.setdefault(what_matters(job), len(numbers)) for job in jobs]
    return None if len(numbers) == len(jobs) else np.array(which, dtype=np.intp)


def _which_many(jobs: pl.DataFrame) -> NDArray[np.intp] | None:
    """The same as `_which_few`."""
    groups = jobs.with_row_index(" index").group_by(_that_matter(jobs), maintain_order=True)
    indices = groups.agg(" index")[" index"]
    if len(indices) == len(jobs):
        return None
    which = np.empty(len(jobs), dtype=np.intp)
    which[indices.explode().to_numpy()] = np.repeat(np.arange(len(indices)), indices.list.len())
    return which


def what_matters(job: Row) -> tuple[object, ...]:
    """Return the values of a job that its answer may depend on."""
    return tuple(value for name, value in job.items() if name not in WITHOUT_EFFECT)


def _that_matter(jobs: pl.DataFrame) -> list[str]:
    return [name for name in jobs.columns if name not in WITHOUT_EFFECT]


class RecentAnswers:
    """What one model answered lately to jobs that came alone. Thread-safe."""

    def __init__(self, version: Callable[[], int], most: int = MOST_ANSWERS) -> None:
        """Nothing yet; `version` changes whenever another event is known."""
        self._version = version
        self._most = most
        self._lock = Lock()
        self._kept: dict[Hashable, Predictions] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def predict(self, predict: Callable[[Row], Predictions], row: Row) -> Predictions:
        """Return the answer to one job, which `predict` is asked for where it is new."""
        # The version first: what is known then may be newer, never older.
        key = (self._version(), *what_matters(row))
        answer = self._kept.get(key)
        if answer is None:
            answer = predict(row)
            with self._lock:
                self._kept[key] = answer
                while len(self._kept) > self._most:
                    del self._kept[next(iter(self._kept))]
        return answer
