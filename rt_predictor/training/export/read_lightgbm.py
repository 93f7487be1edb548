"""Read a LightGBM booster from its own text form."""

import lightgbm
import numpy as np

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.trees import (
    LEAF,
    Comparison,
    Int32Array,
    Tree,
    TreeEnsemble,
    stack,
)

# LightGBM reads a value of at most this size as 0, whatever the thresholds (kZeroThreshold).
_ZERO_BAND = np.float32(1e-35)

# Bits of `decision_type`: categorical, default left, and two bits for what counts as missing.
_CATEGORICAL = 1
_DEFAULT_LEFT = 2
_MISSING_SHIFT = 2
_MISSING_MASK = 3
_MISSING_NONE, _MISSING_ZERO = 0, 1

_OBJECTIVES = frozenset(
    {
        "binary sigmoid:1",
        "cross_entropy",
        "custom",
        "fair",
        "huber",
        "mape",
        "quantile",
        "regression",
        "regression_l1",
    }
)


def read_lightgbm(booster: lightgbm.Booster) -> TreeEnsemble:
    """All trees up to the best iteration (all trees where early stopping did not set one).

    The one output is the raw score: the prediction of a regression, the logit of a binary
    classification.

    Raises:
        TrainingError: the booster has something the graph cannot express.
    """
    header, *blocks = booster.model_to_string().split("\n\nTree=")
    fields = _fields(header)
    _check_objective(fields.get("objective", "custom"))
    if fields["num_tree_per_iteration"] != "1":
        raise TrainingError("lightgbm models of several classes cannot be exported")
    if "average_output" in fields:
        raise TrainingError("lightgbm random forests cannot be exported: use boosting=gbdt")
    return stack(
        [_tree(_fields(block)) for block in blocks],
        library="lightgbm",
        n_features=int(fields["max_feature_idx"]) + 1,
        base=np.zeros(1),
        comparison=Comparison.LESS_EQUAL,
        zero_band=_ZERO_BAND,
    )


def _fields(block: str) -> dict[str, str]:
    lines = (line.partition("=") for line in block.split("\n"))
    return {name: value for name, _, value in lines}


def _check_objective(objective: str) -> None:
    if objective not in _OBJECTIVES:
        raise TrainingError(
            f"lightgbm objective {objective!r} cannot be exported: use one of "
            f"{', '.join(sorted(_OBJECTIVES))}"
        )


def _ints(text: str) -> Int32Array:
    return np.array(text.split(), dtype=np.int32)


def _tree(fields: dict[str, str]) -> Tree:
    if fields["is_linear"] != "0":
        raise TrainingError("lightgbm linear trees cannot be exported: use linear_tree=false")
    decision = _ints(fields["decision_type"])
    if np.any(decision & _CATEGORICAL):
        raise TrainingError(
            "lightgbm splits on categories cannot be exported: encode them as numbers"
        )
    threshold = np.array(fields["threshold"].split(), dtype=np.float64)
    values = np.array(fields["leaf_value"].split(), dtype=np.float64)
    missing = (decision >> _MISSING_SHIFT) & _MISSING_MASK
    # With no kind of missing value NaN is read as 0, and so takes the way of 0.
    missing_left = np.where(
        missing == _MISSING_NONE, threshold >= 0.0, (decision & _DEFAULT_LEFT) != 0
    )
    n_splits, n_leaves = len(threshold), len(values)
    return Tree(
        feature=_then_leaves(_ints(fields["split_feature"]), LEAF, n_leaves),
        threshold=np.concatenate([threshold, np.zeros(n_leaves)]),
        left=_then_leaves(_children(fields["left_child"], n_splits), LEAF, n_leaves),
        right=_then_leaves(_children(fields["right_child"], n_splits), LEAF, n_leaves),
        missing_left=np.concatenate([missing_left, np.zeros(n_leaves, dtype=np.bool_)]),
        zero_is_missing=np.concatenate(
            [missing == _MISSING_ZERO, np.zeros(n_leaves, dtype=np.bool_)]
        ),
        values=np.concatenate([np.zeros(n_splits), values])[:, np.newaxis],
        first_output=0,
    )


def _children(text: str, n_splits: int) -> Int32Array:
    """Children as LightGBM numbers them (leaf `i` is `-i - 1`), as numbers of nodes."""
    children = _ints(text)
    return np.where(children < 0, n_splits - children - 1, children)


def _then_leaves(splits: Int32Array, value: int, n_leaves: int) -> Int32Array:
    return np.concatenate([splits, np.full(n_leaves, value, dtype=np.int32)])
