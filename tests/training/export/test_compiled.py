import numpy as np
import pytest
from onnx import helper

from rt_predictor.errors import ParityError
from rt_predictor.training.export import compiled as module
from rt_predictor.training.export.compiled import take_out_trees
from rt_predictor.training.export.fuse import Head, model_of, tree_model, tree_nodes
from rt_predictor.training.export.normalise import normalise


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


@pytest.mark.parametrize("second", ["inputs", "negated"])
def test_columns_that_the_caller_put_together_stay_outside(ensemble, second):
    trees = normalise(ensemble((0, 1.0, 5.0, 6.0)))
    nodes, _ = tree_nodes([Head("head", (trees,), ("score",))], "both", "scores")
    before = [
        helper.make_node("Abs", ["inputs"], ["sizes"]),
        helper.make_node("Neg", ["inputs"], ["negated"]),
        helper.make_node("Concat", ["sizes", second], ["both"], axis=1),
    ]
    model = model_of([*before, *nodes], [], ("inputs", 2), ("scores", 1))
    rows = np.array([[1.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    assert take_out_trees(model, 4).scores(rows).tolist() == [[15.0], [16.0]]


def test_more_leaves_than_float32_can_count_are_refused(ensemble, monkeypatch):
    monkeypatch.setattr(module, "_MAX_LEAVES", 1)
    trees = normalise(ensemble((0, 1.0, 5.0, 6.0)))
    with pytest.raises(ParityError, match="the graph has 2 leaves, over 1"):
        take_out_trees(tree_model([Head("head", (trees,), ("score",))]), 3)
