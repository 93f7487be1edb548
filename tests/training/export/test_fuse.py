import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.fuse import Head, model_of, tree_nodes
from rt_predictor.training.export.native import native
from rt_predictor.training.export.normalise import normalise
from tests.training.export.tree_models import tree_model


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@pytest.fixture(scope="session")
def session(trained):
    return session_of(tree_model(trained.heads))


def run(session, rows):
    return session.run(None, {"features": rows})[0]


def attribute(node, name):
    return next(helper.get_attribute_value(a) for a in node.attribute if a.name == name)


def tree_nodes_of(model):
    return [node for node in model.graph.node if node.domain == "ai.onnx.ml"]


def test_each_model_has_a_node_with_all_of_its_trees(trained):
    model = tree_model(trained.heads)
    onnx.checker.check_model(model, full_check=True)
    ensembles = [ensemble for head in trained.heads for ensemble in head.ensembles]
    nodes = tree_nodes_of(model)
    assert [attribute(node, "n_targets") for node in nodes] == [1, 1, 3]
    assert [len(set(attribute(node, "nodes_treeids"))) for node in nodes] == [
        len(ensemble.roots) for ensemble in ensembles
    ]


def test_splits_have_one_comparison_and_no_rule_for_nan(trained):
    for node in tree_nodes_of(tree_model(trained.heads)):
        assert set(attribute(node, "nodes_modes")) == {b"BRANCH_LEQ", b"LEAF"}
        assert "nodes_missing_value_tracks_true" not in {a.name for a in node.attribute}


def test_rows_hold_only_columns_that_a_split_asks_for(ensemble):
    one = normalise(ensemble((2, 1.0, 2.0, (2, 0.5, 3.0, 4.0, "missing left"))))
    model = tree_model([Head("head", (one,), ("score",))])
    (places,) = (one for one in model.graph.initializer if one.name == "scores_places")
    # Column 0 stands for none at all; 2 is there as it is, and negated.
    assert numpy_helper.to_array(places).tolist() == [0, 2, 2]


def test_outputs_come_in_the_order_of_the_heads(trained, session):
    xgb, lgb, cat = trained.boosters
    scores = run(session, trained.rows)
    expected = [native(booster).answer(trained.rows).raw for booster in (xgb, lgb, cat)]
    np.testing.assert_allclose(scores, np.concatenate(expected, axis=1), rtol=1e-5)


def test_trees_with_small_leaves_are_added_first(trained):
    for node in tree_nodes_of(tree_model(trained.heads)):
        trees = np.array(attribute(node, "target_treeids"))
        size = np.abs(np.array(attribute(node, "target_weights")))
        of_tree = [size[trees == number].max() for number in np.unique(trees)]
        assert of_tree == sorted(of_tree)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 700))
def test_a_row_has_the_same_bits_alone_in_bulk_and_in_chunks(session, seed, n_rows):
    random = np.random.default_rng(seed)
    rows = random.normal(scale=3.0, size=(n_rows, 5)).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    bulk = run(session, rows)
    cuts = np.sort(random.integers(0, n_rows, size=4))
    chunks = [run(session, part) for part in np.split(rows, cuts) if len(part)]
    assert np.concatenate(chunks).tobytes() == bulk.tobytes()
    for number in random.integers(0, n_rows, size=10):
        alone = run(session, rows[number : number + 1])
        assert alone.tobytes() == bulk[number].tobytes()


def test_trees_can_stand_inside_a_larger_graph(trained):
    nodes, initializers = tree_nodes(trained.heads, "scaled", "raw")
    weights = np.full((5, 1), 0.5, dtype=np.float32)
    model = model_of(
        [
            helper.make_node("Mul", ["inputs", "two"], ["doubled"]),
            helper.make_node("Transpose", ["doubled"], ["scaled"]),
            *nodes,
            helper.make_node("MatMul", ["raw", "weights"], ["blend"]),
        ],
        [
            *initializers,
            numpy_helper.from_array(np.float32(2.0), "two"),
            numpy_helper.from_array(weights, "weights"),
        ],
        ("inputs", 5),
        ("blend", 1),
    )
    onnx.checker.check_model(model, full_check=True)
    blend = session_of(model).run(None, {"inputs": trained.rows})[0]
    scores = run(session_of(tree_model(trained.heads)), 2 * trained.rows)
    np.testing.assert_allclose(blend, scores @ weights, rtol=1e-6)


def test_columns_are_negated_only_where_nan_goes_left(ensemble):
    right = Head("right", (normalise(ensemble((0, 1.0, 2.0, 3.0))),), ("a",))
    left = Head("left", (normalise(ensemble((0, 1.0, 2.0, 3.0, "missing left"))),), ("b",))
    assert "Mul" not in [n.op_type for n in tree_model([right]).graph.node]
    assert "Mul" in [n.op_type for n in tree_model([right, left]).graph.node]
    nan = np.full((1, 3), np.nan, dtype=np.float32)
    assert run(session_of(tree_model([right, left])), nan).tolist() == [[13.0, 12.0]]


@pytest.mark.parametrize("threshold", [0.0, -0.0, 1e-45, 3.4028234663852886e38, -3.4e38, 1e300])
def test_a_negated_split_turns_at_the_same_float(ensemble, threshold):
    one = normalise(ensemble((0, threshold, 1.0, 2.0, "missing left"), (1, 0.0, 3.0, 4.0)))
    session = session_of(tree_model([Head("head", (one,), ("score",))]))
    nearest = np.float32(min(threshold, 3.4028234663852886e38))
    with np.errstate(over="ignore", under="ignore"):
        near = np.nextafter(nearest, np.array([-np.inf, nearest, np.inf], dtype=np.float32))
    near = near[np.isfinite(near)]
    rows = np.zeros((len(near), 3), dtype=np.float32)
    rows[:, 0] = near
    expected = np.where(near <= np.float64(threshold), 14.0, 15.0)
    assert run(session, rows)[:, 0].tolist() == expected.tolist()


def test_an_output_without_trees_answers_its_base_value(ensemble):
    constant = normalise(ensemble(0.5))
    tree = normalise(ensemble((0, 1.0, 2.0, 3.0)))
    rows = np.zeros((2, 3), dtype=np.float32)
    mixed = tree_model([Head("head", (constant, tree), ("constant", "tree"))])
    assert run(session_of(mixed), rows).tolist() == [[10.5, 12.0]] * 2
    alone = tree_model([Head("head", (constant,), ("constant",))])
    assert run(session_of(alone), rows).tolist() == [[10.5]] * 2


def test_a_head_names_each_output(trained):
    with pytest.raises(TrainingError, match="'point' names 1 outputs but its models have 2"):
        Head("point", trained.heads[0].ensembles, ("point",))


def test_a_head_without_models_is_refused():
    with pytest.raises(TrainingError, match="'empty' has no models"):
        Head("empty", (), ())


def test_models_of_other_columns_are_refused(trained, ensemble):
    other = Head("other", (normalise(ensemble((0, 1.0, 2.0, 3.0))),), ("other",))
    with pytest.raises(TrainingError, match=r"\[3, 5\]"):
        tree_model([*trained.heads, other])
