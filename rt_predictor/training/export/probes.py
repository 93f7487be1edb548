"""Rows that make every split of a model decide, on either side of its threshold and on NaN."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from rt_predictor.training.export.intervals import EVERYTHING, Interval, order_keys
from rt_predictor.training.export.trees import (
    LEAF,
    CanonicalTrees,
    Float32Array,
    Int32Array,
    TreeEnsemble,
)

# NaN is tried in each column of this many rows of the data.
_MISSING_ROWS = 16

_LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True, eq=False)
class Probes:
    """Rows to compare on.

    Attributes:
        rows: float32 [N, F], finite or NaN.
        feature: int32 [N]; the column that was set on purpose.
    """

    rows: Float32Array
    feature: Int32Array


def threshold_probes(
    ensemble: TreeEnsemble, base: Float32Array, chunk_rows: int
) -> Iterator[Probes]:
    """Every threshold as read, and the float32 to either side, each set in a row of the data.

    Thresholds of splits that normalising dropped are among them, and the ends of the band that
    the library reads as 0.

    Args:
        ensemble: the trees as read.
        base: rows of the data, float32 [n, F], used in turn.
        chunk_rows: yield about this many rows at a time.
    """
    return _in_chunks(_around_thresholds(ensemble, base), chunk_rows)


def split_probes(trees: CanonicalTrees, base: Float32Array, chunk_rows: int) -> Iterator[Probes]:
    """For each split a row that gets there: with its threshold, a float32 to either side, NaN.

    Args:
        trees: the canonical trees; all their splits can be reached.
        base: rows of the data, float32 [n, F], used in turn; columns that would lead away from
            the split are changed.
        chunk_rows: yield about this many rows at a time.
    """
    return _in_chunks(_at_splits(trees, base), chunk_rows)


def missing_probes(base: Float32Array, chunk_rows: int) -> Iterator[Probes]:
    """NaN in each column of some rows of the data, float32 [n, F]; and a row of nothing else."""
    return _in_chunks(_with_nan(base[:_MISSING_ROWS]), chunk_rows)


def _in_chunks(blocks: Iterator[Probes], chunk_rows: int) -> Iterator[Probes]:
    waiting: list[Probes] = []
    n_rows = 0
    for block in blocks:
        waiting.append(block)
        n_rows += len(block.rows)
        if n_rows >= chunk_rows:
            yield _joined(waiting)
            waiting, n_rows = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(blocks: list[Probes]) -> Probes:
    return Probes(
        rows=np.concatenate([block.rows for block in blocks]),
        feature=np.concatenate([block.feature for block in blocks]),
    )


def _set(row: Float32Array, feature: int, values: Float32Array) -> Probes:
    """Copies of one row, each with one of `values` in the column `feature`."""
    rows = np.repeat(row[np.newaxis], len(values), axis=0)
    rows[:, feature] = values
    return Probes(rows, np.full(len(values), feature, dtype=np.int32))


def _around(threshold: np.float32) -> Float32Array:
    """The threshold and its neighbours; libraries refuse infinities, so none of those."""
    with np.errstate(over="ignore", under="ignore"):
        near = np.nextafter(threshold, np.array([-np.inf, threshold, np.inf], dtype=np.float32))
    return np.unique(np.clip(near, -_LARGEST, _LARGEST))


def _around_thresholds(ensemble: TreeEnsemble, base: Float32Array) -> Iterator[Probes]:
    split = ensemble.feature != LEAF
    feature = ensemble.feature[split]
    with np.errstate(over="ignore"):
        threshold = ensemble.threshold[split].astype(np.float32)
    band = np.unique(np.array([-ensemble.zero_band, ensemble.zero_band]))
    used = np.unique(feature)
    feature = np.concatenate([feature, np.repeat(used, len(band))])
    threshold = np.concatenate([threshold, np.tile(band, len(used))])
    order = np.lexsort((threshold, feature))
    feature, threshold = feature[order], threshold[order]
    new = np.ones(len(feature), dtype=np.bool_)
    new[1:] = (feature[1:] != feature[:-1]) | (threshold[1:] != threshold[:-1])
    for row, column, value in zip(cycle(base), feature[new], threshold[new], strict=False):
        yield _set(row, int(column), _around(value))


def _with_nan(base: Float32Array) -> Iterator[Probes]:
    missing = np.array([np.nan], dtype=np.float32)
    for column in range(base.shape[1]):
        for row in base:
            yield _set(row, column, missing)
    yield _set(np.full(base.shape[1], np.nan, dtype=np.float32), 0, missing)


def _at_splits(trees: CanonicalTrees, base: Float32Array) -> Iterator[Probes]:
    keys = [order_keys(row) for row in base]
    missing = np.isnan(base)
    turns = cycle(range(len(base)))
    for node, box in _boxes(trees):
        turn = next(turns)
        row = base[turn].copy()
        for column, interval in box.items():
            inside = (
                interval.nan
                if missing[turn, column]
                else interval.low < keys[turn][column] <= interval.high
            )
            if not inside:
                row[column] = interval.finite_or_nan()
        values = _around(trees.threshold[node])
        yield _set(row, int(trees.feature[node]), np.append(values, np.float32(np.nan)))


def _boxes(trees: CanonicalTrees) -> Iterator[tuple[int, dict[int, Interval]]]:
    """Every split, with what can reach it in the columns its ancestors ask about."""
    feature, left, right = trees.feature.tolist(), trees.left.tolist(), trees.right.tolist()
    key, missing_left = order_keys(trees.threshold), trees.missing_left.tolist()
    pending: list[tuple[int, dict[int, Interval]]] = [(root, {}) for root in trees.roots.tolist()]
    while pending:
        node, box = pending.pop()
        column = feature[node]
        if column == LEAF:
            continue
        yield node, box
        interval = box.get(column, EVERYTHING)
        way = key[node], missing_left[node]
        pending.append((left[node], {**box, column: interval.left_of(*way)}))
        pending.append((right[node], {**box, column: interval.right_of(*way)}))
