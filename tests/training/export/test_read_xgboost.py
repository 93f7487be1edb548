import numpy as np
import pytest
import xgboost

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.native import native, read
from rt_predictor.training.export.read_xgboost import read_xgboost
from rt_predictor.training.export.trees import LEAF, Comparison


def train(trained, rounds=4, target=None, **parameters):
    data = xgboost.DMatrix(trained.rows, trained.target if target is None else target)
    return xgboost.train({"max_depth": 3, "nthread": 1, **parameters}, data, rounds)


def test_splits_and_leaves_are_as_the_library_dumps_them(trained):
    booster = train(trained)
    trees = read_xgboost(booster)
    dump = booster.trees_to_dataframe()
    assert trees.comparison is Comparison.LESS
    assert trees.zero_band == 0
    assert len(trees.feature) == len(dump)
    split = trees.feature != LEAF
    assert [f"f{number}" for number in trees.feature[split]] == dump.Feature[split].tolist()
    assert trees.threshold[split].astype(np.float32).tolist() == pytest.approx(
        dump.Split[split].astype(np.float32).tolist()
    )
    assert trees.values[~split, 0].tolist() == pytest.approx(dump.Gain[~split].tolist(), rel=1e-6)
    to_left = (dump.Missing == dump.Yes)[split]
    assert trees.missing_left[split].tolist() == to_left.tolist()


def test_each_quantile_is_an_output(trained):
    booster = train(trained, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9])
    trees = read_xgboost(booster)
    assert trees.n_outputs == 3
    assert trees.first_output.tolist() == [0, 1, 2] * 4


def test_base_of_a_classification_is_a_logit(trained):
    target = (trained.target > 3000).astype(float)
    booster = train(trained, target=target, objective="binary:logistic", base_score=0.2)
    assert read_xgboost(booster).base.tolist() == pytest.approx([np.log(0.25)])


def test_trees_after_the_best_iteration_are_left_out(trained):
    booster = train(trained, rounds=6)
    booster.set_attr(best_iteration="2")
    assert read_xgboost(booster).n_trees == 3
    rows = xgboost.DMatrix(trained.rows)
    expected = booster.predict(rows, iteration_range=(0, 3))
    answer = native(booster).answer(trained.rows)
    assert answer.raw[:, 0].tolist() == expected.tolist()
    assert answer.leaf_values.shape == (400, 3, 1)


def test_early_stopping_is_honoured(trained):
    noise = np.random.default_rng(0).permutation(trained.target)
    data = xgboost.DMatrix(trained.rows[:200], noise[:200])
    held_out = xgboost.DMatrix(trained.rows[200:], noise[200:])
    booster = xgboost.train(
        {"max_depth": 6, "nthread": 1},
        data,
        40,
        evals=[(held_out, "held_out")],
        early_stopping_rounds=3,
        verbose_eval=False,
    )
    assert (
        read_xgboost(booster).n_trees == booster.best_iteration + 1 < booster.num_boosted_rounds()
    )


def test_a_best_iteration_past_the_end_means_all(trained):
    booster = train(trained, rounds=6)
    booster.set_attr(best_iteration="5")
    kept = booster[:3]
    assert read_xgboost(kept).n_trees == 3
    assert native(kept).answer(trained.rows).leaf_values.shape == (400, 3, 1)


def test_dart_weights_are_in_the_leaves(trained):
    booster = train(trained, rounds=6, booster="dart", rate_drop=0.5, seed=3)
    answer = native(booster).answer(trained.rows)
    sums = answer.leaf_values.sum(axis=1) + read_xgboost(booster).base
    np.testing.assert_allclose(sums, answer.raw, rtol=1e-5, atol=1e-2)


def test_a_linear_model_is_refused(trained):
    data = xgboost.DMatrix(np.nan_to_num(trained.rows), trained.target)
    booster = xgboost.train({"booster": "gblinear", "nthread": 1}, data, 2)
    with pytest.raises(TrainingError, match="has no trees: use booster='gbtree'"):
        read_xgboost(booster)


def test_other_objectives_are_refused(trained):
    booster = train(trained, target=np.abs(trained.target), objective="count:poisson")
    with pytest.raises(TrainingError, match="objective 'count:poisson' cannot be exported"):
        read_xgboost(booster)


def test_vector_leaves_are_refused(trained):
    target = np.stack([trained.target, -trained.target], axis=1)
    booster = train(trained, target=target, multi_strategy="multi_output_tree", tree_method="hist")
    with pytest.raises(TrainingError, match="one_output_per_tree"):
        read_xgboost(booster)


def test_splits_on_categories_are_refused(trained):
    rows = np.random.default_rng(0).integers(0, 8, size=(400, 1)).astype(np.float32)
    data = xgboost.DMatrix(rows, rows[:, 0] % 3, feature_types=["c"], enable_categorical=True)
    booster = xgboost.train({"nthread": 1, "max_cat_to_onehot": 1}, data, 2)
    with pytest.raises(TrainingError, match="categories"):
        read_xgboost(booster)


def test_a_model_without_trees_is_refused(trained):
    with pytest.raises(TrainingError, match="has no trees"):
        read_xgboost(train(trained, rounds=0))


def test_anything_else_is_refused():
    with pytest.raises(TrainingError, match="cannot export a dict"):
        read({})
