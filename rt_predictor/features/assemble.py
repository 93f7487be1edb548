"""Assembly: a frame of jobs becomes the float32 matrix that the graph takes.

One implementation for one job, a batch, a stream chunk and the training set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.features.categories import Category
from rt_predictor.features.declared import CATEGORY_FIELDS, DAY_S, INPUTS, REQUEST_INPUTS
from rt_predictor.jobs.schema import Jobs, Row

WEEK_S = 7 * DAY_S
_MONDAY_S = 3 * DAY_S
"""The epoch began on a Thursday: three days after a Monday."""

NUMBERS: tuple[str, ...] = ("processors_req", "nodes_req", "mem_req", "gpus_req", "time_req")
"""Numbers of the request, the first columns of the matrix."""


_SECOND_OF_DAY = len(NUMBERS)
_SECOND_OF_WEEK = _SECOND_OF_DAY + 1
_Time = TypeVar("_Time", float, NDArray[np.float64])


@dataclass(frozen=True)
class Range:
    """Least and greatest value of a number of the request in the training span."""

    minimum: float
    maximum: float


@dataclass(frozen=True)
class Assembler:
    """Puts the matrix together from jobs and what was learned in training."""

    categories: tuple[Category, ...]
    """One for each of `CATEGORY_FIELDS`, in that order."""

    def __post_init__(self) -> None:
        fields = tuple(category.field for category in self.categories)
        if fields != CATEGORY_FIELDS:
            raise ValueError(f"categories are {fields}, expected {CATEGORY_FIELDS}")

    def assemble(self, jobs: Jobs, history: NDArray[np.float32]) -> NDArray[np.float32]:
        """The matrix of inputs: [n, len(INPUTS)], missing as NaN.

        Args:
            jobs: [n]; columns other than those of `REQUEST_SCHEMA` are not looked at.
            history: [n, len(HISTORY_INPUTS)] what was known at each submit, as
                `LogHistory.features` or `EventStore.features` gives it.
        """
        matrix = np.empty((len(jobs), len(INPUTS)), dtype=np.float32)
        matrix[:, len(REQUEST_INPUTS) :] = history
        self.put(jobs, matrix)
        return matrix

    def put(self, jobs: Jobs, matrix: NDArray[np.float32]) -> None:
        """Puts what jobs ask for into a matrix as of `assemble`, in which their history stands."""
        if not isinstance(jobs, pl.DataFrame):
            asked = [self._request_inputs(row) for row in jobs]
            matrix[:, : len(REQUEST_INPUTS)] = np.array(asked, np.float32).reshape(
                -1, len(REQUEST_INPUTS)
            )
            return
        # Column by column: an expression costs Polars about as much as a hundred rows do.
        for place, name in enumerate(NUMBERS):
            matrix[:, place] = jobs.get_column(name).to_numpy()
        calendar = _calendar(jobs.get_column("submit_time").to_numpy())
        matrix[:, _SECOND_OF_DAY], matrix[:, _SECOND_OF_WEEK] = calendar
        for place, category in enumerate(self.categories, start=_SECOND_OF_WEEK + 1):
            matrix[:, place] = category.codes(jobs.get_column(category.field))

    def _request_inputs(self, row: Row) -> list[Any]:
        """The values of `REQUEST_INPUTS` for one job; None where missing."""
        return [
            *(row[name] for name in NUMBERS),
            *_calendar(cast(float, row["submit_time"])),
            *(
                category.code(cast("str | None", row[category.field]))
                for category in self.categories
            ),
        ]


def _calendar(submit_time: _Time) -> tuple[_Time, _Time]:
    """Second of the day and of the week of one time, or of many, in Unix s."""
    return submit_time % DAY_S, (submit_time + _MONDAY_S) % WEEK_S


def training_ranges(jobs: pl.DataFrame) -> Mapping[str, Range]:
    """Ranges of the numbers of the request; a number that no job has is left out."""
    found = {}
    for name in NUMBERS:
        low, high = jobs[name].min(), jobs[name].max()
        if low is not None and high is not None:
            found[name] = Range(float(low), float(high))  # type: ignore[arg-type]
    return found
