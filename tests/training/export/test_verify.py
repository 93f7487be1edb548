"""Verification proves equality, so above all it must fail where there is none."""

from dataclasses import replace

import lightgbm
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from rt_predictor.errors import ParityError, TrainingError
from rt_predictor.training.export.fuse import Head, model_of, tree_nodes
from rt_predictor.training.export.native import native
from rt_predictor.training.export.normalise import normalise
from rt_predictor.training.export.trees import LEAF
from rt_predictor.training.export.verify import verify
from tests.training.export.tree_models import tree_model

DOWN, UP = np.float32(-np.inf), np.float32(np.inf)


def run(trained, model=None, heads=None, boosters=None, rows=None, **more):
    return verify(
        tree_model(trained.heads) if model is None else model,
        trained.heads if heads is None else heads,
        trained.by_head if boosters is None else boosters,
        trained.rows if rows is None else rows,
        columns=trained.columns,
        **more,
    )


def with_trees(trained, head, number, **changes):
    """The heads with other arrays in one of their ensembles."""
    ensembles = list(trained.heads[head].ensembles)
    ensembles[number] = replace(ensembles[number], **changes)
    heads = list(trained.heads)
    heads[head] = replace(heads[head], ensembles=tuple(ensembles))
    return heads


def tree_nodes_of(model):
    return [node for node in model.graph.node if node.domain == "ai.onnx.ml"]


def tampered(trained, name, change):
    """The fused graph with one attribute of its last tree node, CatBoost's, changed."""
    model = tree_model(trained.heads)
    node = tree_nodes_of(model)[-1]
    old = next(attribute for attribute in node.attribute if attribute.name == name)
    values = np.array(helper.get_attribute_value(old))
    node.attribute.remove(old)
    node.attribute.append(helper.make_attribute(name, change(values).tolist()))
    return model


def test_report_counts_what_was_compared(trained):
    report = run(trained)
    splits = sum(np.sum(e.feature != LEAF) for h in trained.heads for e in h.ensembles)
    assert report.rows.data == 400
    assert report.rows.splits > 3 * splits
    assert report.rows.thresholds > 0
    assert report.rows.missing == 3 * (16 * 5 + 1)
    assert [head.name for head in report.heads] == ["point", "interval"]
    for head in report.heads:
        assert 0 < head.max_absolute < 0.01
        assert 0 < head.max_relative < 1e-6


def test_progress_is_told_of_every_stage(trained):
    told = []
    run(trained, progress=lambda stage, done, total: told.append((stage, done, total)))
    assert [stage for stage, done, total in told if done == total] == [
        "thresholds",
        "splits",
        "missing values",
        "data",
    ]
    assert all(0 <= done <= total for _, done, total in told)


def test_trees_are_found_inside_a_larger_graph(trained):
    nodes, initializers = tree_nodes(trained.heads, "features", "raw")
    half = numpy_helper.from_array(np.float32(0.5), "half")
    model = model_of(
        [
            helper.make_node("Mul", ["inputs", "half"], ["halves"]),
            helper.make_node("Transpose", ["halves"], ["features"]),
            *nodes,
            helper.make_node("Neg", ["raw"], ["result"]),
        ],
        [*initializers, half],
        ("inputs", 5),
        ("result", 5),
    )
    assert run(trained, model).rows.data == 400


CASES = [(0, 0), (0, 1), (1, 0)]  # xgboost, lightgbm, catboost


@pytest.mark.parametrize(("head", "number"), CASES)
@pytest.mark.parametrize("direction", [DOWN, UP])
def test_a_threshold_one_float_off_is_found_at_every_split(trained, head, number, direction):
    trees = trained.heads[head].ensembles[number]
    splits = np.flatnonzero(trees.feature != LEAF)
    # Neighbours of the largest float are infinite, and no library takes those.
    splits = splits[np.abs(trees.threshold[splits]) < 3e38]
    for split in splits[:: max(1, len(splits) // 12)]:
        threshold = trees.threshold.copy()
        threshold[split] = np.nextafter(threshold[split], direction)
        heads = with_trees(trained, head, number, threshold=threshold)
        with pytest.raises(ParityError) as error:
            run(trained, tree_model(heads), heads, rows=trained.rows[:40])
        message = str(error.value)
        assert repr(trained.heads[head].name) in message
        asked = message.partition("the tree asked ")[2]
        assert f"{trained.columns[trees.feature[split]]} = " in asked
        assert "the graph answers" in message
        assert "the library" in message


@pytest.mark.parametrize(("head", "number"), CASES)
def test_a_turned_direction_of_nan_is_found_at_every_split(trained, head, number):
    trees = trained.heads[head].ensembles[number]
    splits = np.flatnonzero(trees.feature != LEAF)
    found = 0
    for split in splits[:: max(1, len(splits) // 12)]:
        missing_left = trees.missing_left.copy()
        missing_left[split] ^= True
        heads = with_trees(trained, head, number, missing_left=missing_left)
        canonical = normalise(native(trained.by_head[head][number]).trees)
        # Where an ancestor has sent NaN elsewhere, the direction means nothing.
        if nan_reaches(canonical, split):
            column = trained.columns[trees.feature[split]]
            with pytest.raises(ParityError, match=f"the tree asked .*{column} = nan"):
                run(trained, tree_model(heads), heads, rows=trained.rows[:40])
            found += 1
    assert found > 3


def nan_reaches(trees, split):
    parents = {child: node for side in (trees.left, trees.right) for node, child in enumerate(side)}
    node = split
    while node in parents:
        child, node = node, parents[node]
        if trees.feature[node] == trees.feature[split]:
            nan_child = (trees.left if trees.missing_left[node] else trees.right)[node]
            if nan_child != child:
                return False
    return True


def test_a_leaf_one_float_off_is_found(trained):
    def change(weights):
        weights = weights.astype(np.float32)
        weights[5] = np.nextafter(weights[5], UP)
        return weights.astype(np.float64)

    with pytest.raises(ParityError, match="the graph's leaf adds"):
        run(trained, tampered(trained, "target_weights", change))


def test_two_swapped_leaves_of_one_tree_are_found(trained):
    def change(weights):
        weights[[0, 1]] = weights[[1, 0]]
        return weights

    with pytest.raises(ParityError, match="the graph's leaf adds"):
        run(trained, tampered(trained, "target_weights", change))


def test_a_tree_that_adds_to_another_output_is_found(trained):
    def change(outputs):
        return np.where(outputs == 0, 1, outputs)

    with pytest.raises(ParityError, match="add to other outputs"):
        run(trained, tampered(trained, "target_ids", change))


def test_another_base_value_is_found(trained):
    def change(base):
        return base + np.array([0.0, 0.01, 0.0])

    with pytest.raises(ParityError, match="starts from the base values"):
        run(trained, tampered(trained, "base_values", change))


def test_a_sum_that_is_not_the_sum_of_its_leaves_is_found(trained):
    model = tree_model(trained.heads)
    tree_nodes_of(model)[0].attribute.append(helper.make_attribute("aggregate_function", "AVERAGE"))
    with pytest.raises(ParityError, match="further apart than the rounding"):
        run(trained, model)


def test_another_booster_is_found(trained):
    other = lightgbm.train(
        {"num_leaves": 12, "num_threads": 1, "verbose": -1, "seed": 3},
        lightgbm.Dataset(trained.rows, -trained.target),
        8,
    )
    (xgb, _), catboosts = trained.by_head
    with pytest.raises(ParityError, match="lightgbm"):
        run(trained, boosters=[[xgb, other], catboosts])


def test_boosters_in_another_order_are_refused(trained):
    (xgb, lgb), catboosts = trained.by_head
    with pytest.raises(TrainingError, match="in the order of the head's models"):
        run(trained, boosters=[[lgb, xgb], catboosts])


def test_a_booster_of_fewer_trees_is_refused(trained):
    (xgb, lgb), catboosts = trained.by_head
    with pytest.raises(TrainingError, match="in the order of the head's models"):
        run(trained, boosters=[[xgb[:4], lgb], catboosts])


def test_a_tree_taken_for_a_constant_is_found(trained):
    trees = trained.heads[0].ensembles[1]
    source = native(trained.boosters[1])
    end = trees.roots[1]
    zeros = source.answer(np.zeros((1, 5), dtype=np.float32))
    heads = with_trees(
        trained,
        0,
        1,
        base=trees.base + zeros.leaf_values[0, 0],
        source=trees.source[1:],
        roots=trees.roots[1:] - end,
        first_output=trees.first_output[1:],
        feature=trees.feature[end:],
        threshold=trees.threshold[end:],
        left=np.where(trees.left[end:] == LEAF, LEAF, trees.left[end:] - end),
        right=np.where(trees.right[end:] == LEAF, LEAF, trees.right[end:] - end),
        missing_left=trees.missing_left[end:],
        values=trees.values[end:],
    )
    with pytest.raises(ParityError, match="takes it to add"):
        run(trained, tree_model(heads), heads)


def test_a_graph_of_other_heads_is_found(trained):
    with pytest.raises(ParityError, match="fuse these heads again"):
        run(trained, tree_model(trained.heads[:1]))


@pytest.mark.parametrize("copies", [0, 2])
def test_a_graph_must_have_a_tree_node_for_each_model(trained, copies):
    model = onnx.ModelProto()
    model.CopyFrom(tree_model(trained.heads))
    *nodes, last, joining = model.graph.node
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *[last] * copies, joining])
    with pytest.raises(ParityError, match=f"has {2 + copies} nodes .* do not belong together"):
        run(trained, model)


def test_models_in_another_order_are_found(trained):
    model = tree_model(trained.heads)
    joining = model.graph.node[-1]
    joining.input[:] = [joining.input[1], joining.input[0], joining.input[2]]
    with pytest.raises(ParityError, match="do not belong together"):
        run(trained, model)


def test_a_wrong_column_is_found(trained):
    model = tree_model(trained.heads)
    (places,) = (one for one in model.graph.initializer if one.name == "scores_places")
    places.CopyFrom(numpy_helper.from_array(np.roll(numpy_helper.to_array(places), 1), places.name))
    with pytest.raises(ParityError, match="the graph's leaf adds"):
        run(trained, model)


def test_each_model_needs_its_booster(trained):
    with pytest.raises(TrainingError, match="one booster for each model"):
        run(trained, boosters=[trained.by_head[0]])


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.astype(np.float64),
        lambda rows: rows[:, :4],
        lambda rows: rows[0],
        lambda rows: rows[:0],
    ],
)
def test_rows_of_another_form_are_refused(trained, change):
    with pytest.raises(TrainingError, match="give float32"):
        run(trained, rows=change(trained.rows))


def test_infinite_rows_are_refused(trained):
    with pytest.raises(TrainingError, match="infinite"):
        run(trained, rows=np.full((3, 5), np.inf, dtype=np.float32))


def test_few_rows_and_rows_in_any_memory_order_will_do(trained):
    assert run(trained, rows=np.asfortranarray(trained.rows[:3])).rows.data == 3


def test_constant_models_are_verified_too(trained):
    flat = lightgbm.train(
        {"num_leaves": 4, "num_threads": 1, "verbose": -1, "boost_from_average": True},
        lightgbm.Dataset(trained.rows, np.full(400, 5.0)),
        3,
    )
    head = Head("flat", (normalise(native(flat).trees),), ("flat",))
    report = verify(tree_model([head]), [head], [[flat]], trained.rows, columns=trained.columns)
    assert report.heads[0].max_absolute < 1e-6
