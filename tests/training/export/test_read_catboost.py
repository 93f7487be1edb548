import catboost
import numpy as np
import pytest

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.native import native
from rt_predictor.training.export.normalise import left_maximum
from rt_predictor.training.export.read_catboost import read_catboost
from rt_predictor.training.export.trees import LEAF, Comparison


def model(kind=catboost.CatBoostRegressor, **parameters):
    fixed = {"iterations": 4, "depth": 3, "thread_count": 1, "verbose": 0}
    return kind(**{**fixed, "allow_writing_files": False, **parameters})


def leaf_values(trees, rows):
    """The values of the leaf each tree sends each row to, by the definition of TreeEnsemble."""
    answers = np.zeros((len(rows), trees.n_trees, trees.values.shape[1]))
    at = left_maximum(trees)
    for number, row in enumerate(rows):
        for tree, root in enumerate(trees.roots):
            node = root
            while (feature := trees.feature[node]) != LEAF:
                greater = row[feature] > at[node]
                left = trees.missing_left[node] if np.isnan(row[feature]) else greater
                node = (trees.left if left else trees.right)[node]
            answers[number, tree] = trees.values[node]
    return answers


@pytest.mark.parametrize("nan_mode", ["Min", "Max"])
@pytest.mark.parametrize("policy", ["SymmetricTree", "Depthwise", "Lossguide"])
@pytest.mark.parametrize("loss", ["RMSE", "MultiQuantile:alpha=0.1,0.5,0.9"])
def test_trees_of_every_shape_take_the_leaves_of_the_library(trained, policy, loss, nan_mode):
    booster = model(grow_policy=policy, loss_function=loss, nan_mode=nan_mode)
    trees = read_catboost(booster.fit(trained.rows, trained.target))
    rows = np.concatenate([trained.rows[:60], np.full((1, 5), np.nan, dtype=np.float32)])
    assert trees.comparison is Comparison.GREATER
    expected = native(booster).answer(rows).leaf_values
    np.testing.assert_array_equal(leaf_values(trees, rows), expected)


def test_scale_and_bias_are_in_leaves_and_base(trained):
    booster = model().fit(trained.rows, trained.target)
    before = read_catboost(booster)
    booster.set_scale_and_bias(2.0, 17.0)
    after = read_catboost(booster)
    assert after.base.tolist() == [17.0]
    np.testing.assert_array_equal(after.values, 2.0 * before.values)
    answer = native(booster).answer(trained.rows)
    np.testing.assert_allclose(answer.leaf_values.sum(axis=1) + 17.0, answer.raw, rtol=1e-12)


def test_use_best_model_is_honoured(trained):
    noise = np.random.default_rng(0).permutation(trained.target)
    booster = model(iterations=40, learning_rate=0.5)
    booster.fit(
        trained.rows[:200],
        noise[:200],
        eval_set=(trained.rows[200:], noise[200:]),
        use_best_model=True,
    )
    assert read_catboost(booster).n_trees == booster.get_best_iteration() + 1 < 40


def test_raw_value_of_a_classification_is_a_logit(trained):
    booster = model(catboost.CatBoostClassifier).fit(trained.rows, trained.target > 3000)
    chance = booster.predict_proba(trained.rows)[:, 1]
    raw = native(booster).answer(trained.rows).raw[:, 0]
    np.testing.assert_allclose(raw, np.log(chance / (1 - chance)), rtol=1e-9)


def test_other_losses_are_refused(trained):
    booster = model(loss_function="Poisson").fit(trained.rows, np.abs(trained.target))
    with pytest.raises(TrainingError, match="loss 'Poisson' cannot be exported"):
        read_catboost(booster)


def test_features_that_are_not_numbers_are_refused(trained):
    rows = [[str(number % 7), float(number % 11)] for number in range(400)]
    booster = model().fit(rows, trained.target, cat_features=[0])
    with pytest.raises(TrainingError, match="categorical features cannot be exported"):
        read_catboost(booster)
