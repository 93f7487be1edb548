"""Assembly: a frame of jobs becomes the float32 matrix that the graph takes.

One implementation for one job, a batch, a stream chunk and the training set.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.features.categories import Category
from rt_predictor.features.declared import CATEGORY_FIELDS, DAY_S, INPUTS

WEEK_S = 7 * DAY_S
_MONDAY_S = 3 * DAY_S
"""The epoch began on a Thursday: three days after a Monday."""

NUMBERS: tuple[str, ...] = ("processors_req", "nodes_req", "mem_req", "gpus_req", "time_req")
"""Numbers of the request, the first columns of the matrix."""

_EXPRESSIONS = tuple(
    expression.cast(pl.Float32).fill_null(float("nan"))
    for expression in (
        *(pl.col(name) for name in NUMBERS),
        (pl.col("submit_time") % DAY_S).alias("second_of_day"),
        ((pl.col("submit_time") + _MONDAY_S) % WEEK_S).alias("second_of_week"),
    )
)


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

    def assemble(self, jobs: pl.DataFrame) -> NDArray[np.float32]:
        """The matrix of inputs: [n, len(INPUTS)], missing as NaN.

        `jobs` has the columns of `REQUEST_SCHEMA`; further columns are not looked at.
        """
        matrix = np.empty((len(jobs), len(INPUTS)), dtype=np.float32)
        numbers = jobs.select(_EXPRESSIONS)
        matrix[:, : numbers.width] = numbers.to_numpy()
        for place, category in enumerate(self.categories, start=numbers.width):
            matrix[:, place] = category.code(jobs[category.field]).to_numpy()
        return matrix


def training_ranges(jobs: pl.DataFrame) -> Mapping[str, Range]:
    """Ranges of the numbers of the request; a number that no job has is left out."""
    found = {}
    for name in NUMBERS:
        low, high = jobs[name].min(), jobs[name].max()
        if low is not None and high is not None:
            found[name] = Range(float(low), float(high))  # type: ignore[arg-type]
    return found
