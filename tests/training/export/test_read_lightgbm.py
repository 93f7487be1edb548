import lightgbm
import numpy as np
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.native import native
from rt_predictor.training.export.read_lightgbm import read_lightgbm
from rt_predictor.training.export.trees import LEAF, Comparison


def train(trained, rounds=4, target=None, rows=None, **parameters):
    rows = trained.rows if rows is None else rows
    data = lightgbm.Dataset(rows, trained.target if target is None else target)
    fixed = {"num_leaves": 8, "num_threads": 1, "verbose": -1}
    return lightgbm.train({**fixed, **parameters}, data, rounds)


def test_splits_and_leaves_are_as_the_library_dumps_them(trained):
    booster = train(trained)
    trees = read_lightgbm(booster)
    assert trees.comparison is Comparison.LESS_EQUAL
    assert trees.zero_band == np.float32(1e-35)
    for root, tree in zip(trees.roots, booster.dump_model()["tree_info"], strict=True):
        pending = [(int(root), tree["tree_structure"])]
        while pending:
            node, expected = pending.pop()
            if "leaf_value" in expected:
                assert trees.feature[node] == LEAF
                assert trees.values[node, 0] == expected["leaf_value"]
                continue
            assert trees.feature[node] == expected["split_feature"]
            assert trees.threshold[node] == expected["threshold"]
            if expected["missing_type"] == "NaN":
                assert trees.missing_left[node] == expected["default_left"]
            pending.append((trees.left[node], expected["left_child"]))
            pending.append((trees.right[node], expected["right_child"]))


def test_without_a_missing_type_nan_goes_where_zero_goes(trained):
    trees = read_lightgbm(train(trained, rows=np.nan_to_num(trained.rows)))
    split = trees.feature != LEAF
    assert trees.missing_left[split].tolist() == (trees.threshold[split] >= 0).tolist()


def test_zero_as_missing_is_read(trained):
    rows = np.random.default_rng(0).integers(-2, 3, size=(400, 2)).astype(np.float32)
    trees = read_lightgbm(train(trained, rows=rows, zero_as_missing=True))
    assert trees.zero_is_missing.any()


def test_trees_after_the_best_iteration_are_left_out(trained):
    booster = train(trained, rounds=6)
    booster.best_iteration = 2
    assert read_lightgbm(booster).n_trees == 2
    answer = native(booster).answer(trained.rows)
    assert answer.leaf_values.shape == (400, 2, 1)
    assert answer.raw[:, 0].tolist() == booster.predict(trained.rows, num_iteration=2).tolist()


def test_raw_score_of_a_classification_is_a_logit(trained):
    target = (trained.target > 3000).astype(float)
    booster = train(trained, target=target, objective="binary")
    chance = booster.predict(trained.rows)
    raw = native(booster).answer(trained.rows).raw[:, 0]
    np.testing.assert_allclose(raw, np.log(chance / (1 - chance)), rtol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"objective": "poisson"}, "objective 'poisson' cannot be exported"),
        ({"objective": "binary", "sigmoid": 2.0}, "objective 'binary sigmoid:2'"),
        ({"reg_sqrt": True}, "objective 'regression sqrt'"),
        ({"linear_tree": True}, "linear_tree=false"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "boosting=gbdt"),
    ],
)
def test_what_the_graph_cannot_say_is_refused(trained, parameters, message):
    random = np.random.default_rng(0)
    rows = np.stack([random.integers(0, 6, size=400), random.normal(size=400)], axis=1)
    target = (rows[:, 0] % 2 == 0).astype(float)
    booster = train(trained, rows=rows, target=target, **parameters)
    with pytest.raises(TrainingError, match=message):
        read_lightgbm(booster)


def test_splits_on_categories_are_refused():
    rows = np.random.default_rng(0).integers(0, 6, size=(400, 1)).astype(np.float64)
    data = lightgbm.Dataset(rows, rows[:, 0] % 2, categorical_feature=[0])
    booster = lightgbm.train({"num_threads": 1, "verbose": -1, "min_data_per_group": 1}, data, 2)
    with pytest.raises(TrainingError, match="categories"):
        read_lightgbm(booster)


def test_several_classes_are_refused(trained):
    target = np.arange(400) % 3
    booster = train(trained, target=target, objective="multiclass", num_class=3)
    with pytest.raises(TrainingError, match="multiclass"):
        read_lightgbm(booster)


def test_several_trees_a_round_are_refused(trained):
    def gradient(prediction, data):
        wanted = np.stack([data.get_label()] * 2, axis=1)
        return prediction - wanted, np.ones_like(wanted)

    booster = train(trained, objective=gradient, num_class=2)
    with pytest.raises(TrainingError, match="several classes"):
        read_lightgbm(booster)
