"""Probes put every split to the test."""

import numpy as np

from rt_predictor.training.boosting.booster import Threshold
from rt_predictor.training.boosting.fit import FittedBoosters
from rt_predictor.training.boosting.probes import nan_rows, split_rows, threshold_rows
from rt_predictor.training.boosting.trees import Forest, Leaf, Split, Tree, read_forest
from tests.training.boosting.fitted_boosters import samples

DATA = samples(20, seed=1).features


LARGEST = np.finfo(np.float32).max


def around(value: float) -> list[float]:
    """The float32 and its finite neighbours."""
    with np.errstate(over="ignore"):
        near = [np.nextafter(np.float32(value), np.float32(to)) for to in (-np.inf, np.inf)]
    return sorted(float(one) for one in (*near, np.float32(value)) if abs(one) <= LARGEST)


def test_a_threshold_is_probed_in_its_column_with_a_float_to_either_side() -> None:
    rows = threshold_rows([Threshold(3, 0.1)], DATA)
    assert rows[:, 3].tolist() == around(0.1)
    assert (np.delete(rows, 3, axis=1) == np.delete(DATA[0], 3)).all()


def test_the_largest_float_is_probed_without_infinity() -> None:
    rows = threshold_rows([Threshold(0, float(LARGEST)), Threshold(0, 1e300)], DATA)
    assert np.isfinite(rows).all()
    assert rows[:, 0].max() == LARGEST


def passes(tree: Tree, split: Split, row: np.ndarray) -> bool:
    while isinstance(tree, Split) and tree is not split:
        value = row[tree.column]
        left = tree.nan_left if np.isnan(value) else value <= tree.threshold
        tree = tree.left if left else tree.right
    return tree is split


def splits(tree: Tree) -> list[Split]:
    if isinstance(tree, Leaf):
        return []
    return [tree, *splits(tree.left), *splits(tree.right)]


def test_every_split_is_reached_with_its_threshold_its_neighbours_and_nan(
    fitted_boosters: FittedBoosters,
) -> None:
    for booster in fitted_boosters.boosters:
        forest = read_forest(booster.to_onnx(), booster.library, booster.n_features)
        rows = iter(split_rows(forest, samples(20, seed=1, holes=0.3).features))
        for tree in forest.trees:
            for split in splits(tree):
                expected = around(split.threshold)
                probes = np.stack([next(rows) for _ in (*expected, np.nan)])
                values = probes[:, split.column].tolist()
                assert values[:-1] == expected
                assert np.isnan(values[-1])
                assert any(passes(tree, split, row) for row in probes)
        assert next(rows, None) is None


def test_a_split_that_only_nan_reaches_is_reached() -> None:
    inner = Split(0, 1.0, False, Leaf(1.0), Leaf(2.0))
    dead = Split(1, 0.0, True, Leaf(3.0), Leaf(4.0))
    tree = Split(1, 5.0, False, inner, Split(1, 5.0, False, dead, Leaf(5.0)))
    rows = split_rows(Forest("xgboost", 6, 0.0, (tree,)), DATA)
    assert any(passes(tree, inner, row) for row in rows)


def test_nan_is_tried_in_every_column_and_in_all() -> None:
    rows = np.isnan(nan_rows(DATA))
    assert set(rows.sum(axis=1).tolist()) == {1, DATA.shape[1]}
    assert rows[rows.sum(axis=1) == 1].any(axis=0).all()
    assert rows[-1].all()
