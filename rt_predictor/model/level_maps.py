"""Monotone maps of a distribution's levels: what recalibration turns a cumulative share into.

A map is piecewise linear between fixed knots, denser in the tails, with 0 at 0 and 1 at 1. Knots
are multiples of `1 / CELLS`, so that a level finds its segment by one multiplication. Results are
rounded to multiples of `LEVEL_STEP`, far coarser than the error of the arithmetic: so a map never
falls, not by one bit at a knot, and `1 - level` is exact.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

CELLS: Final = 400
"""Equal parts of [0, 1] that knots lie between."""

LEVEL_STEP: Final = 2.0**-40
"""Levels are multiples of this."""

_TAIL_KNOTS = (0.0, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075)
_INNER_KNOTS = tuple(share / 20 for share in range(2, 19))

KNOTS: Final = np.array([*_TAIL_KNOTS, *_INNER_KNOTS, *(1 - np.array(_TAIL_KNOTS[::-1]))])
"""[K] levels whose image a map names, from 0 to 1, ascending."""

_KNOT_CELLS: Final = np.rint(KNOTS * CELLS).astype(np.int64)

_SEGMENT_OF_CELL: Final = np.minimum(
    np.searchsorted(_KNOT_CELLS, np.arange(CELLS + 1), side="right") - 1, len(KNOTS) - 2
)
"""[CELLS + 1] number of the knot at or below each cell; the last cell is level 1 alone."""

# Arrays without axes: NumPy takes them faster than numbers of Python.
_CELLS = np.array(float(CELLS))
_ROUNDING = np.array(LEVEL_STEP * 2.0**52)
"""A float64 of this size has a last bit of `LEVEL_STEP`."""


def round_levels(levels: Float64) -> None:
    """Round levels in [0, 1] to multiples of `LEVEL_STEP`, in place."""
    levels += _ROUNDING
    levels -= _ROUNDING


@dataclass(frozen=True)
class LevelMaps:
    """m maps, of which many jobs may share one."""

    values: Float64
    """[m, K] image of each of `KNOTS`; ascending, from 0 to 1"""

    def __post_init__(self) -> None:
        """Raise ValueError for values that are no monotone map of [0, 1] onto itself."""
        values = self.values
        if values.ndim != 2 or values.shape[1] != len(KNOTS):
            raise ValueError(f"a map names {len(KNOTS)} values, not {values.shape[-1]}")
        ends = (values[:, 0] == 0).all() and (values[:, -1] == 1).all()
        if not ends or not (values[:, 1:] >= values[:, :-1]).all():
            raise ValueError("a map of levels must rise from 0 to 1 and never fall")

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def _cells(self) -> tuple[Float64, Float64]:
        """Intercept and slope of each cell of each map: two arrays [m * (CELLS + 1)]."""
        values = self.values.copy()
        round_levels(values)
        slopes = np.diff(values, axis=1) / np.diff(KNOTS)
        intercepts = values[:, :-1] - slopes * KNOTS[:-1]
        return intercepts[:, _SEGMENT_OF_CELL].ravel(), slopes[:, _SEGMENT_OF_CELL].ravel()

    def images(self, levels: Float64, which: NDArray[np.intp]) -> Float64:
        """Return the images of levels [n, S] in [0, 1]: multiples of `LEVEL_STEP`.

        A level's image depends on it and on its map alone, and rises with it.

        Args:
            levels: those of n jobs, a row each.
            which: [n] map of each job.
        """
        cells = (levels * _CELLS).astype(np.intp)
        if len(which) == 1:
            cells += which.item() * (CELLS + 1)
        else:
            cells += (which * (CELLS + 1))[:, np.newaxis]
        intercepts, slopes = self._cells
        images: Float64 = slopes[cells]
        images *= levels
        images += intercepts[cells]
        round_levels(images)
        return images
