from dataclasses import replace

import numpy as np
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.training.export import normalise as module
from rt_predictor.training.export.normalise import left_maximum, normalise
from rt_predictor.training.export.trees import LEAF, Comparison

BAND = np.float32(1e-35)
BELOW_BAND = np.nextafter(-BAND, np.float32(-np.inf))
LARGEST = np.finfo(np.float32).max
TINIEST = np.float32(1.4e-45)


def below(value):
    return np.nextafter(np.float32(value), np.float32(-np.inf))


def answer(trees, row):
    """The value of a row by the definition of canonical trees."""
    total = trees.base.copy()
    for root, first in zip(trees.roots, trees.first_output, strict=True):
        node = root
        while trees.feature[node] != LEAF:
            value = np.float32(row[trees.feature[node]])
            left = trees.missing_left[node] if np.isnan(value) else value <= trees.threshold[node]
            node = (trees.left if left else trees.right)[node]
        total[first : first + trees.values.shape[1]] += trees.values[node]
    return total.tolist()


@pytest.mark.parametrize(
    ("comparison", "threshold", "expected"),
    [
        (Comparison.LESS_EQUAL, 0.5, 0.5),
        (Comparison.LESS_EQUAL, 0.1, below(0.1)),  # float32(0.1) lies above 0.1
        (Comparison.LESS_EQUAL, 1e300, LARGEST),
        (Comparison.LESS_EQUAL, -1e300, -np.inf),
        (Comparison.LESS_EQUAL, np.inf, np.inf),
        (Comparison.LESS_EQUAL, 1e-60, 0.0),
        (Comparison.LESS_EQUAL, -1e-60, -TINIEST),
        (Comparison.LESS, 0.5, below(0.5)),
        (Comparison.LESS, 0.0, -TINIEST),
        (Comparison.LESS, -0.0, -TINIEST),
        (Comparison.LESS, float(LARGEST), below(LARGEST)),
        (Comparison.GREATER, float(np.float32(0.1)), np.float32(0.1)),
        (Comparison.GREATER, -float(LARGEST), -LARGEST),
    ],
)
def test_a_threshold_becomes_the_largest_float32_on_its_lower_side(
    ensemble, comparison, threshold, expected
):
    trees = ensemble((0, threshold, 1.0, 2.0), comparison=comparison)
    assert left_maximum(trees)[0] == np.float32(expected)


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (-float(BAND), BELOW_BAND),
        (-1e-36, BELOW_BAND),
        (0.0, BAND),
        (1e-36, BAND),
        (float(BAND), BAND),
        (float(BELOW_BAND), BELOW_BAND),
        (1.0, 1.0),
    ],
)
def test_all_values_that_are_read_as_zero_go_where_zero_goes(ensemble, threshold, expected):
    trees = ensemble((0, threshold, 1.0, 2.0), band=BAND)
    assert left_maximum(trees)[0] == np.float32(expected)


def test_greater_swaps_children_and_keeps_the_way_of_nan(ensemble):
    greater = ensemble((0, 1.0, 5.0, 6.0, "missing left"), comparison=Comparison.GREATER)
    trees = normalise(greater)
    assert answer(trees, [2.0, 0, 0]) == [15.0]
    assert answer(trees, [1.0, 0, 0]) == [16.0]
    assert answer(trees, [np.nan, 0, 0]) == [15.0]


@pytest.mark.parametrize("zero_way", ["missing left", "missing right"])
@pytest.mark.parametrize("threshold", [-3.0, float(-BAND), 0.0, float(BAND), 3.0])
def test_zero_as_a_missing_value_goes_where_nan_goes(ensemble, threshold, zero_way):
    trees = normalise(ensemble((0, threshold, 1.0, 2.0, zero_way, "zero is missing"), band=BAND))
    values = [-4.0, BELOW_BAND, -BAND, -0.0, 0.0, BAND, -below(-BAND), 2.0, 3.0, 4.0, np.nan]
    for value in values:
        zero = np.isnan(value) or abs(value) <= BAND
        left = zero_way == "missing left" if zero else value <= threshold
        assert answer(trees, [value, 0, 0]) == [11.0 if left else 12.0], value


def test_splits_that_an_ancestor_has_decided_are_dropped(ensemble):
    trees = normalise(ensemble((0, 1.0, (0, 2.0, 3.0, 4.0), (0, 0.5, 5.0, 6.0))))
    # NaN goes right twice, so only the inner split on the left is dead.
    assert np.sum(trees.feature != LEAF) == 1
    assert answer(trees, [1.0, 0, 0]) == [13.0]
    assert answer(trees, [2.0, 0, 0]) == [16.0]


def test_a_split_that_only_nan_can_turn_at_is_kept(ensemble):
    trees = normalise(ensemble((0, 1.0, (0, 2.0, 3.0, 4.0), 5.0, "missing left")))
    assert answer(trees, [0.0, 0, 0]) == [13.0]
    assert answer(trees, [np.nan, 0, 0]) == [14.0]
    assert answer(trees, [2.0, 0, 0]) == [15.0]


def test_nan_has_no_way_where_it_cannot_come(ensemble):
    trees = normalise(ensemble((0, 1.0, (0, 0.0, 3.0, 4.0, "missing left"), 5.0)))
    assert not trees.missing_left.any()


def test_leaves_of_equal_value_become_one(ensemble):
    trees = normalise(ensemble((0, 1.0, (1, 2.0, 3.0, 3.0), (2, 2.0, 3.0, 4.0))))
    assert (trees.feature != LEAF).tolist() == [True, False, True, False, False]
    assert answer(trees, [0.0, 5.0, 5.0]) == [13.0]


def test_trees_of_one_value_join_the_base(ensemble):
    trees = normalise(
        ensemble(0.5, (0, 1.0, (1, 2.0, 3.0, 3.0), 3.0), (0, 1.0, 1.0, 2.0), (1, 1.0, 7.0, 7.0))
    )
    assert trees.base.tolist() == [20.5]
    assert trees.source.tolist() == [2]
    assert trees.roots.tolist() == [0]


def test_a_model_of_constants_has_no_trees_left(ensemble):
    trees = normalise(ensemble(0.5, 0.25))
    assert trees.base.tolist() == [10.75]
    assert len(trees.roots) == len(trees.feature) == 0


def test_a_tree_that_grows_without_end_is_refused(ensemble, monkeypatch):
    monkeypatch.setattr(module, "MAX_NODES_PER_TREE", 4)
    with pytest.raises(TrainingError, match="zero_as_missing=false"):
        normalise(ensemble((0, 1.0, (1, 1.0, 1.0, 2.0), (2, 1.0, 3.0, 4.0))))


def test_a_deep_tree_does_not_exhaust_the_stack(ensemble):
    size = 600
    nested = 0.0
    for number in range(size):
        nested = (0, float(number), nested, float(number + 1))
    trees = normalise(ensemble(nested))
    assert np.sum(trees.feature != LEAF) == size
    assert answer(trees, [-1.0, 0, 0]) == [10.0]
    assert answer(trees, [300.5, 0, 0]) == [311.0]


@pytest.mark.parametrize(("second", "splits"), [(7.0, 0), (8.0, 1)])
def test_vector_leaves_are_equal_only_in_all_values(ensemble, second, splits):
    scalar = ensemble((0, 1.0, 3.0, 4.0))
    values = np.array([[0.0, 0.0], [3.0, 7.0], [3.0, second]])
    trees = normalise(replace(scalar, values=values, base=np.zeros(2)))
    assert np.sum(trees.feature != LEAF) == splits
    assert answer(trees, [0.0, 0, 0]) == [3.0, 7.0]
    assert answer(trees, [2.0, 0, 0]) == [3.0, second]
