import numpy as np
import pytest
from onnx import helper

from rt_predictor.errors import ParityError
from rt_predictor.training.export import compiled as module
from rt_predictor.training.export.compiled import take_out_trees
from rt_predictor.training.export.fuse import Head, model_of, tree_nodes
from rt_predictor.training.export.normalise import normalise
from tests.training.export.tree_models import tree_model


def test_each_tree_shows_the_leaf_it_takes(ensemble):
    trees = normalise(ensemble((0, 1.0, 5.0, 6.0), (1, 2.0, 7.0, (2, 0.0, 80.0, 90.0))))
    compiled = take_out_trees(tree_model([Head("head", (trees,), ("score",))]), 3)
    rows = np.array([[1, 2, 0], [2, 3, 0], [2, 3, 1]], dtype=np.float32)
    weights = compiled.weights[compiled.entries[compiled.leaves(rows)]]
    assert weights.tolist() == [[5, 7], [6, 80], [6, 90]]
    assert compiled.scores(rows).tolist() == [[22], [96], [106]]
    assert compiled.n_outputs == 1
    # Nodes of the second tree: split, 7, split, 80, 90.
    assert compiled.tree_of_leaf.tolist() == [0, 0, 1, 1, 1]
    assert compiled.node_of_leaf.tolist() == [1, 2, 1, 3, 4]


def test_what_stands_before_the_columns_stays_outside(ensemble):
    trees = normalise(ensemble((0, 1.0, 5.0, 6.0)))
    nodes, constants = tree_nodes([Head("head", (trees,), ("score",))], "columns", "scores")
    before = [
        helper.make_node("Abs", ["inputs"], ["sizes"]),
        helper.make_node("Transpose", ["sizes"], ["columns"]),
    ]
    model = model_of([*before, *nodes], constants, ("inputs", 3), ("scores", 1))
    rows = np.array([[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0]], dtype=np.float32)
    assert take_out_trees(model, 3).scores(rows).tolist() == [[15.0], [16.0]]


def test_trees_leaves_and_outputs_count_through_all_nodes(ensemble):
    heads = [
        Head("first", (normalise(ensemble((0, 1.0, 5.0, 6.0), (1, 2.0, 7.0, 8.0))),), ("a",)),
        Head("second", (normalise(ensemble((2, 0.0, 90.0, 91.0))),), ("b",)),
    ]
    compiled = take_out_trees(tree_model(heads), 3)
    rows = np.array([[2, 2, 1]], dtype=np.float32)
    assert compiled.n_trees == 3
    assert compiled.n_outputs == 2
    assert compiled.tree_of_leaf.tolist() == [0, 0, 1, 1, 2, 2]
    assert compiled.outputs.tolist() == [0, 0, 0, 0, 1, 1]
    assert compiled.entries.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert compiled.weights[compiled.leaves(rows)].tolist() == [[6, 7, 91]]


def test_more_leaves_than_float32_can_count_are_refused(ensemble, monkeypatch):
    monkeypatch.setattr(module, "_MAX_LEAVES", 1)
    trees = normalise(ensemble((0, 1.0, 5.0, 6.0)))
    with pytest.raises(ParityError, match="the graph has 2 leaves, over 1"):
        take_out_trees(tree_model([Head("head", (trees,), ("score",))]), 3)
