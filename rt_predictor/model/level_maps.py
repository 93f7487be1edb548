"""Monotone maps of a distribution's levels: what recalibration turns a cumulative share into.

A map is piecewise linear between fixed knots, denser in the tails, with 0 at 0 and 1 at 1. Knots
are multiples of `1 / CELLS`, so that a level finds its segment by one multiplication. Results are
rounded to multiples of `LEVEL_STEP`, far coarser than the error of the arithmetic: so a map never
falls, not by one bit at a knot, and `1 - level` is exact.
"""

from bisect import bisect_right
from collections.abc import Sequence
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


_KNOTS: Final[list[float]] = KNOTS.tolist()


def knot_above(level: float) -> int:
    """Return the index of the first knot above a level; of the last where none is."""
    return min(bisect_right(_KNOTS, level), len(_KNOTS) - 1)


def mixed_values(
    values: Float64, weight: Float64 | float, others: Float64, others_weight: float
) -> Float64:
    """Return the values of maps that are the weighted means of two: [..., K].

    Args:
        values: [..., K] of the first maps, from 0 to 1; the last bits may fall.
        weight: of these.
        others: [K] of the other map.
        others_weight: of that, above 0.
    """
    mixed = weight * values + others_weight * others
    mixed /= weight + others_weight
    mixed = np.maximum.accumulate(np.clip(mixed, 0, 1), axis=-1)
    mixed[..., 0], mixed[..., -1] = 0, 1
    return mixed


def round_levels(levels: Float64) -> None:
    """Round levels in [0, 1] to multiples of `LEVEL_STEP`, in place."""
    levels += _ROUNDING
    levels -= _ROUNDING


@dataclass(frozen=True)
class LevelMaps:
    """m maps, of which many jobs may share one."""

    values: Float64
    """[m, K] image of each of `KNOTS`; ascending, from 0 to 1"""
    expanded: bool = True
    """Whether a segment is looked up for each cell beforehand: quicker where maps are used again
    and again, for a hundred times the memory"""

    def __post_init__(self) -> None:
        """Raise ValueError for values that are no monotone map of [0, 1] onto itself."""
        values = self.values
        if values.ndim != 2 or values.shape[1] != len(KNOTS):
            raise ValueError(f"a map names {len(KNOTS)} values, not {values.shape[-1]}")
        ends = (values[:, 0] == 0).all() and (values[:, -1] == 1).all()
        if not ends or not (values[:, 1:] >= values[:, :-1]).all():
            raise ValueError("a map of levels must rise from 0 to 1 and never fall")

    @classmethod
    def joined(cls, maps: "Sequence[LevelMaps]") -> "LevelMaps":
        """Return the maps of several, one after the other; not expanded."""
        if len(maps) == 1:
            return maps[0]
        return cls(np.concatenate([some.values for some in maps]), expanded=False)

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def _lines(self) -> tuple[Float64, Float64]:
        """Intercept and slope of each segment of each map, or of each cell: two flat arrays."""
        values = self.values.copy()
        round_levels(values)
        slopes = np.diff(values, axis=1) / np.diff(KNOTS)
        intercepts = values[:, :-1] - slopes * KNOTS[:-1]
        if self.expanded:
            slopes, intercepts = slopes[:, _SEGMENT_OF_CELL], intercepts[:, _SEGMENT_OF_CELL]
        return intercepts.ravel(), slopes.ravel()

    def images(self, levels: Float64, which: NDArray[np.intp]) -> Float64:
        """Return the images of levels [n, S] in [0, 1]: multiples of `LEVEL_STEP`.

        A level's image depends on it and on its map alone, and rises with it.

        Args:
            levels: those of n jobs, a row each.
            which: [n] map of each job.
        """
        return self._images(levels, (which * self._lines_of_each)[:, np.newaxis])

    def images_of_one(self, levels: Float64, which: int) -> Float64:
        """Return the images [S] of the levels [S] of one job under one of the maps."""
        return self._images(levels, which * self._lines_of_each)

    @property
    def _lines_of_each(self) -> int:
        """Segments, or cells, of each map."""
        return CELLS + 1 if self.expanded else len(KNOTS) - 1

    def _images(self, levels: Float64, first: NDArray[np.intp] | int) -> Float64:
        """Return images of levels. first: index of the first line of the map of each."""
        lines = (levels * _CELLS).astype(np.intp)
        if not self.expanded:
            lines = _SEGMENT_OF_CELL.take(lines)
        lines += first
        intercepts, slopes = self._lines
        images: Float64 = slopes.take(lines)
        images *= levels
        images += intercepts.take(lines)
        round_levels(images)
        return images
