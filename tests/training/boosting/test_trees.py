"""Converted models are read into one form of tree."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from rt_predictor.errors import TrainingError
from rt_predictor.training.boosting.trees import Forest, Leaf, Split, read_forest

HALF = 0.5
BEFORE_HALF = float(np.nextafter(np.float32(0.5), np.float32(-1)))
ONE, TWO = Leaf(1.0), Leaf(2.0)


def stump(mode: str, *, nan_true: int = 0, **changes: Any) -> onnx.NodeProto:
    """A tree that adds 1 where the comparison with 0.5 in column 1 is true, else 2."""
    given = {
        "n_targets": 1,
        "base_values": [10.0],
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_modes": [mode, "LEAF", "LEAF"],
        "nodes_featureids": [1, 0, 0],
        "nodes_values": [HALF, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "nodes_missing_value_tracks_true": [nan_true, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, 2.0],
        **changes,
    }
    return helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["sum"], domain="ai.onnx.ml", **given
    )


def model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "graph", [], []))


def read(*nodes: onnx.NodeProto) -> Forest:
    return read_forest(model(*nodes), "lightgbm", 3)


@pytest.mark.parametrize(
    ("mode", "nan_true", "split"),
    [
        ("BRANCH_LEQ", 0, Split(1, HALF, False, ONE, TWO)),
        ("BRANCH_LEQ", 1, Split(1, HALF, True, ONE, TWO)),
        ("BRANCH_LT", 1, Split(1, BEFORE_HALF, True, ONE, TWO)),
        ("BRANCH_GT", 0, Split(1, HALF, True, TWO, ONE)),
        ("BRANCH_GT", 1, Split(1, HALF, False, TWO, ONE)),
        ("BRANCH_GTE", 0, Split(1, BEFORE_HALF, True, TWO, ONE)),
    ],
)
def test_every_comparison_becomes_at_most(mode: str, nan_true: int, split: Split) -> None:
    forest = read(stump(mode, nan_true=nan_true))
    assert forest == Forest("lightgbm", 3, 10.0, (split,))


def test_an_identity_after_the_trees_changes_nothing() -> None:
    identity = helper.make_node("Identity", ["sum"], ["variable"])
    assert read(stump("BRANCH_LEQ"), identity) == read(stump("BRANCH_LEQ"))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Relu", ["features"], ["sum"])], "became Relu"),
        ([stump("BRANCH_LEQ"), helper.make_node("Exp", ["sum"], ["all"])], "Exp"),
        ([stump("BRANCH_EQ")], "BRANCH_EQ"),
        ([stump("BRANCH_LEQ", n_targets=2)], "one sum of trees"),
        ([stump("BRANCH_LEQ", post_transform="LOGISTIC")], "one sum of trees"),
        ([stump("BRANCH_LEQ", aggregate_function="AVERAGE")], "one sum of trees"),
    ],
)
def test_what_is_no_sum_of_trees_is_refused(nodes: list[onnx.NodeProto], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read(*nodes)


def nested(outer: tuple[str, float, int], inner: tuple[str, float, int]) -> onnx.NodeProto:
    """The outer split leads to a leaf of 3 where it is false, else to the inner one (1 or 2)."""
    return stump(
        outer[0],
        nodes_treeids=[0] * 5,
        nodes_nodeids=[0, 1, 2, 3, 4],
        nodes_modes=[outer[0], inner[0], "LEAF", "LEAF", "LEAF"],
        nodes_featureids=[1, 1, 0, 0, 0],
        nodes_values=[outer[1], inner[1], 0.0, 0.0, 0.0],
        nodes_truenodeids=[1, 2, 0, 0, 0],
        nodes_falsenodeids=[4, 3, 0, 0, 0],
        nodes_missing_value_tracks_true=[outer[2], inner[2], 0, 0, 0],
        target_treeids=[0, 0, 0],
        target_nodeids=[2, 3, 4],
        target_ids=[0, 0, 0],
        target_weights=[1.0, 2.0, 3.0],
    )


def test_a_split_that_no_row_can_reach_both_sides_of_is_left_out() -> None:
    (tree,) = read(nested(("BRANCH_LEQ", 0.0, 0), ("BRANCH_LEQ", 1.0, 0))).trees
    assert tree == Split(1, 0.0, False, ONE, Leaf(3.0))


def test_a_split_that_parts_only_nan_stays() -> None:
    (tree,) = read(nested(("BRANCH_LEQ", 0.0, 1), ("BRANCH_LEQ", 1.0, 0))).trees
    assert tree == Split(1, 0.0, True, Split(1, 1.0, False, ONE, TWO), Leaf(3.0))


def test_where_nan_cannot_come_no_way_is_given_for_it() -> None:
    (tree,) = read(nested(("BRANCH_LEQ", 1.0, 0), ("BRANCH_LEQ", 0.0, 1))).trees
    assert tree == Split(1, 1.0, False, Split(1, 0.0, None, ONE, TWO), Leaf(3.0))


def test_leaves_that_add_the_same_are_one() -> None:
    (tree,) = read(stump("BRANCH_LEQ", target_weights=[2.0, 2.0])).trees
    assert tree == TWO
