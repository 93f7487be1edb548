"""Laws of the export: whatever was trained, the graph takes the same leaves as the library."""

import catboost
import lightgbm
import numpy as np
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rt_predictor.training.export.fuse import Head
from rt_predictor.training.export.native import native
from rt_predictor.training.export.normalise import normalise
from rt_predictor.training.export.verify import verify
from tests.training.export.tree_models import tree_model

EXAMPLES = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

SEEDS = st.integers(0, 2**32 - 1)
COLUMN_KINDS = st.sampled_from(
    ["normal", "counts", "signs", "log", "huge", "denormal", "zero_band", "constant", "large_ids"]
)


@st.composite
def tables(draw):
    """Rows with awkward columns and NaN, and a target that depends on them."""
    random = np.random.default_rng(draw(SEEDS))
    n_rows = draw(st.integers(30, 300))
    kinds = ["normal", *draw(st.lists(COLUMN_KINDS, min_size=0, max_size=5))]
    rows = np.stack([column(kind, n_rows, random) for kind in kinds], axis=1)
    for number in range(rows.shape[1]):
        share = draw(st.sampled_from([0.0, 0.0, 0.1, 0.6]))
        rows[random.random(n_rows) < share, number] = np.nan
    ranks = np.argsort(np.argsort(np.nan_to_num(rows, posinf=0, neginf=0), axis=0), axis=0)
    missing = np.isnan(rows)
    target = ranks[:, 0] + 0.7 * ranks.max(axis=1) + 20 * missing.sum(axis=1)
    scale = draw(st.sampled_from([1e-3, 1.0, 1e6]))
    return rows, scale * (target + random.normal(size=n_rows)) / n_rows


def column(kind, n_rows, random):
    with np.errstate(over="ignore"):
        values = {
            "normal": lambda: random.normal(size=n_rows),
            "counts": lambda: random.integers(0, 24, size=n_rows),
            "signs": lambda: random.integers(-2, 3, size=n_rows),
            "log": lambda: random.lognormal(6, 3, size=n_rows),
            "huge": lambda: random.choice([-3.4e38, -1e38, -1.0, 1.0, 1e38, 3.4e38], size=n_rows),
            "denormal": lambda: random.integers(-9, 9, size=n_rows) * 1.4e-45,
            "zero_band": lambda: random.choice(
                [-2e-35, -1e-35, -9e-36, 0.0, -0.0, 9e-36, 1e-35, 2e-35], size=n_rows
            ),
            "constant": lambda: np.full(n_rows, 3.0),
            "large_ids": lambda: random.integers(2**24 - 40, 2**24 + 40, size=n_rows),
        }[kind]()
        return np.asarray(values).astype(np.float32)


@st.composite
def xgboosts(draw):
    rows, target = draw(tables())
    parameters = {
        "booster": draw(st.sampled_from(["gbtree", "gbtree", "dart"])),
        "max_depth": draw(st.integers(1, 6)),
        "max_bin": draw(st.sampled_from([4, 256])),
        "eta": draw(st.sampled_from([0.1, 1.0])),
        "min_child_weight": 0,
        "num_parallel_tree": draw(st.sampled_from([1, 1, 3])),
        "nthread": 1,
        "rate_drop": 0.3,
        "tree_method": draw(st.sampled_from(["hist", "exact", "approx"])),
        "seed": 1,
    }
    objective = draw(
        st.sampled_from(
            [
                "reg:squarederror",
                "reg:absoluteerror",
                "reg:pseudohubererror",
                "reg:quantileerror",
                "binary:logistic",
                "reg:logistic",
            ]
        )
    )
    if objective == "reg:quantileerror":
        parameters["quantile_alpha"] = [0.1, 0.5, 0.9]
    if parameters["booster"] == "gbtree":
        del parameters["rate_drop"]
    if objective.endswith("logistic"):
        target = (target > np.median(target)).astype(np.float64)
    elif draw(st.booleans()):
        target = np.stack([target, -target], axis=1)
        if objective in ("reg:quantileerror", "reg:absoluteerror"):
            objective = "reg:squarederror"
            parameters.pop("quantile_alpha", None)
    data = xgboost.DMatrix(rows, target)
    parameters["objective"] = objective
    return rows, xgboost.train(parameters, data, draw(st.integers(1, 8)))


@st.composite
def lightgbms(draw):
    rows, target = draw(tables())
    objective = draw(
        st.sampled_from(["regression", "regression_l1", "quantile", "huber", "mape", "binary"])
    )
    if objective == "binary":
        target = (target > np.median(target)).astype(np.float64)
    parameters = {
        "objective": objective,
        "alpha": 0.9,
        "boosting": draw(st.sampled_from(["gbdt", "gbdt", "dart"])),
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "num_leaves": draw(st.integers(2, 31)),
        "max_bin": draw(st.sampled_from([4, 255])),
        "min_data_in_leaf": draw(st.integers(1, 20)),
        "min_data_in_bin": 1,
        "use_missing": draw(st.booleans()),
        "zero_as_missing": draw(st.booleans()),
        "num_threads": 1,
        "verbose": -1,
        "seed": 1,
    }
    return rows, lightgbm.train(parameters, lightgbm.Dataset(rows, target), draw(st.integers(1, 8)))


@st.composite
def catboosts(draw):
    rows, target = draw(tables())
    loss = draw(
        st.sampled_from(["RMSE", "MAE", "Quantile:alpha=0.9", "MultiQuantile:alpha=0.1,0.5,0.9"])
    )
    policy = draw(st.sampled_from(["SymmetricTree", "SymmetricTree", "Depthwise", "Lossguide"]))
    parameters = {
        "loss_function": loss,
        "grow_policy": policy,
        "nan_mode": draw(st.sampled_from(["Min", "Max"])),
        "border_count": draw(st.sampled_from([4, 254])),
        "depth": draw(st.integers(1, 6)),
        "iterations": draw(st.integers(1, 8)),
        "learning_rate": 0.5,
        "thread_count": 1,
        "random_seed": 1,
        "verbose": 0,
        "allow_writing_files": False,
    }
    if draw(st.integers(0, 3)) == 0:
        parameters["loss_function"] = "Logloss"
        classifier = catboost.CatBoostClassifier(**parameters)
        return rows, classifier.fit(rows, target > np.median(target))
    return rows, catboost.CatBoostRegressor(**parameters).fit(rows, target)


def head_of(name, booster):
    trees = normalise(native(booster).trees)
    return Head(name, (trees,), tuple(f"{name}_{k}" for k in range(trees.n_outputs)))


def assert_same(rows, booster):
    head = head_of("head", booster)
    names = [f"column_{number}" for number in range(rows.shape[1])]
    report = verify(tree_model([head]), [head], [[booster]], rows, columns=names)
    assert report.rows.data == len(rows)


@EXAMPLES
@given(xgboosts())
def test_xgboost_in_the_graph_is_xgboost(trained):
    assert_same(*trained)


@EXAMPLES
@given(lightgbms())
def test_lightgbm_in_the_graph_is_lightgbm(trained):
    assert_same(*trained)


@EXAMPLES
@given(catboosts())
def test_catboost_in_the_graph_is_catboost(trained):
    assert_same(*trained)
