"""Rows on which a wrong threshold, comparison or rule for NaN shows."""

from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np

from rt_predictor.training.boosting.booster import Float32Array, Threshold
from rt_predictor.training.boosting.trees import Box, Forest, Leaf, Reach, Split, Tree

_LARGEST = np.finfo(np.float32).max

# NaN is tried in each column of this many rows of the data.
_NAN_ROWS = 16


def threshold_rows(thresholds: Sequence[Threshold], data: Float32Array) -> Float32Array:
    """Return rows of the data, each with a threshold or a float32 to either side in its column.

    Args:
        thresholds: as the library lists them.
        data: float32 [n, F], used in turn.
    """
    rows = cycle(data)
    asked = sorted({(threshold.column, threshold.value) for threshold in thresholds})
    return _stacked([_with(next(rows), column, _around(value)) for column, value in asked], data)


def split_rows(forest: Forest, data: Float32Array) -> Float32Array:
    """Return rows that reach each split, with its threshold, a float32 to either side, and NaN.

    Args:
        forest: whose splits to reach.
        data: float32 [n, F], used in turn; columns that would lead elsewhere are changed.
    """
    rows = cycle(data)
    return _stacked(
        [
            _with(_moved_into(box, next(rows)), split.column, [*_around(split.threshold), np.nan])
            for tree in forest.trees
            for split, box in _splits(tree, {})
        ],
        data,
    )


def nan_rows(data: Float32Array) -> Float32Array:
    """Return rows of the data with NaN in each column, and a row of nothing but NaN."""
    columns = data.shape[1]
    single = [_with(row, column, [np.nan]) for column in range(columns) for row in data[:_NAN_ROWS]]
    return _stacked([*single, np.full((1, columns), np.nan, dtype=np.float32)], data)


def _stacked(blocks: Sequence[Float32Array], data: Float32Array) -> Float32Array:
    return np.concatenate([data[:0], *blocks])


def _with(row: Float32Array, column: int, values: Sequence[float] | Float32Array) -> Float32Array:
    """Return copies of one row, each with one of the values in the column."""
    rows = np.repeat(row[np.newaxis], len(values), axis=0)
    rows[:, column] = values
    return rows


def _around(threshold: float) -> list[float]:
    """Return the nearest float32 and its neighbours; libraries refuse infinities, so none."""
    with np.errstate(over="ignore", under="ignore"):
        nearest = np.float32(threshold)
        near = np.nextafter(nearest, np.array([-np.inf, nearest, np.inf], dtype=np.float32))
    values: list[float] = sorted({*np.clip(near, -_LARGEST, _LARGEST).tolist()})
    return values


def _splits(tree: Tree, box: Box) -> Iterator[tuple[Split, Box]]:
    """Yield every split with what reaches it."""
    if isinstance(tree, Leaf):
        return
    yield tree, box
    reach = box.get(tree.column, Reach())
    yield from _splits(tree.left, {**box, tree.column: reach.left_of(tree)})
    yield from _splits(tree.right, {**box, tree.column: reach.right_of(tree)})


def _moved_into(box: Box, row: Float32Array) -> Float32Array:
    row = row.copy()
    for column, reach in box.items():
        value = row[column]
        if not (reach.nan if np.isnan(value) else reach.low < value <= reach.high):
            row[column] = _some_value(reach)
    return row


def _some_value(reach: Reach) -> float:
    """Return a finite value that is in it if there is one, else NaN."""
    highest = min(reach.high, float(_LARGEST))
    return highest if reach.low < highest else np.nan
