"""Trees become nodes that ONNX Runtime runs quickly, and answers do not depend on the batch."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from rt_predictor.errors import TrainingError
from rt_predictor.training.boosting.fit import FittedBoosters, fit_boosters
from rt_predictor.training.boosting.nodes import booster_nodes, tree_nodes
from rt_predictor.training.boosting.trees import Forest, Leaf, Split, read_forest
from tests.training.boosting.fitted_boosters import (
    FEATURES,
    graph_of,
    samples,
    small_settings,
)

RULES = "nodes_missing_value_tracks_true"


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def forest(*trees: Split | Leaf, n_features: int = 3, library: str = "xgboost") -> Forest:
    return Forest(library, n_features, 10.0, trees)


def run(model: onnx.ModelProto, rows: Any) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {FEATURES: rows}))


ONE, TWO, THREE = Leaf(1.0), Leaf(2.0), Leaf(3.0)


@pytest.mark.parametrize("nan_left", [True, False, None])
def test_all_splits_compare_alike_and_the_commoner_way_of_nan_needs_no_rule(
    nan_left: bool | None,
) -> None:
    tree = Split(0, 0.5, nan_left, ONE, Split(1, 1.5, nan_left, TWO, THREE))
    given = attributes(tree_nodes([forest(tree)], FEATURES, "booster").nodes[0])
    modes = set(given["nodes_modes"]) - {b"LEAF"}
    assert modes == ({b"BRANCH_GT"} if nan_left else {b"BRANCH_LEQ"})
    assert RULES not in given


def test_a_split_that_sends_nan_the_other_way_has_a_rule() -> None:
    tree = Split(0, 0.5, True, ONE, Split(1, 1.5, False, TWO, THREE))
    trees = tree_nodes([forest(tree)], FEATURES, "booster")
    assert sum(attributes(trees.nodes[0])[RULES]) == 1
    rows = np.array([[0.5, 9, 0], [0.6, 1.5, 0], [0.6, 1.6, 0]], dtype=np.float32)
    missing = np.array([[np.nan, 9, 0], [0.6, np.nan, 0]], dtype=np.float32)
    (answer,) = run(graph_of(trees, 3), np.concatenate([rows, missing]))
    assert answer[:, 0].tolist() == [11.0, 12.0, 13.0, 11.0, 13.0]


def test_a_forest_of_leaves_adds_them_to_the_base() -> None:
    trees = tree_nodes([forest(ONE, TWO)], FEATURES, "booster")
    (answer,) = run(graph_of(trees, 3), np.zeros((2, 3), dtype=np.float32))
    assert answer.tolist() == [[13.0], [13.0]]


def test_boosters_that_saw_no_nan_need_no_rules_but_lightgbms() -> None:
    fitted = fit_boosters(samples(), small_settings(), lambda _share: None)
    nodes = booster_nodes(fitted.boosters, FEATURES, "booster").nodes
    assert [RULES in attributes(node) for node in nodes] == [False, True, False]


def test_names_are_unique_and_begin_with_the_prefix() -> None:
    trees = tree_nodes([forest(ONE), forest(TWO)], FEATURES, "booster")
    assert trees.outputs == ("booster_0_xgboost", "booster_1_xgboost")
    assert tuple(node.name for node in trees.nodes) == trees.outputs


def test_the_nodes_are_valid_onnx(fitted_boosters: FittedBoosters) -> None:
    trees = booster_nodes(fitted_boosters.boosters, FEATURES, "booster")
    onnx.checker.check_model(graph_of(trees, 6), full_check=True)


def test_what_was_put_into_nodes_is_read_from_them(fitted_boosters: FittedBoosters) -> None:
    for booster in fitted_boosters.boosters:
        before = read_forest(booster.to_onnx(), booster.library, booster.n_features)
        model = graph_of(tree_nodes([before], FEATURES, "booster"), booster.n_features)
        assert read_forest(model, booster.library, booster.n_features) == before


def test_a_row_is_answered_alike_alone_and_in_any_batch(fitted_boosters: FittedBoosters) -> None:
    model = graph_of(booster_nodes(fitted_boosters.boosters, FEATURES, "booster"), 6)
    rows = samples(997, seed=5, holes=0.1).features
    together = np.concatenate(run(model, rows), axis=1)
    for size in (1, 7, 64):
        parts = [run(model, rows[start : start + size]) for start in range(0, 140, size)]
        apart = np.concatenate([np.concatenate(part, axis=1) for part in parts])
        np.testing.assert_array_equal(apart[:140], together[: len(apart)][:140])


def test_models_of_other_columns_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"\[2, 3\]"):
        tree_nodes([forest(ONE), forest(ONE, n_features=2)], FEATURES, "booster")
