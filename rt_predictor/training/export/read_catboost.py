"""Read a CatBoost model from its own JSON form."""

import json
import tempfile
from pathlib import Path
from typing import Any

import catboost
import numpy as np

from rt_predictor.errors import TrainingError
from rt_predictor.training.export.trees import (
    LEAF,
    NO_BAND,
    Comparison,
    Float64Array,
    Tree,
    TreeEnsemble,
    stack,
)

_LOSSES = frozenset(
    {
        "CrossEntropy",
        "Expectile",
        "Huber",
        "Logloss",
        "LogCosh",
        "MAE",
        "MAPE",
        "MultiQuantile",
        "Quantile",
        "RMSE",
    }
)


def read_catboost(model: catboost.CatBoost) -> TreeEnsemble:
    """All trees of the model (`use_best_model` has already cut them at the best iteration).

    The outputs are the raw formula values: the prediction of a regression (one output a quantile
    of MultiQuantile), the logit of a binary classification.

    Raises:
        TrainingError: the model has something the graph cannot express.
    """
    document = _document(model)
    _check_loss(document)
    features = _float_features(document)
    scale, bias = document["scale_and_bias"]
    base = np.asarray(bias, dtype=np.float64)
    reader = _TreeReader(features, float(scale), len(base))
    oblivious = document.get("oblivious_trees", [])
    return stack(
        [reader.oblivious(tree) for tree in oblivious]
        or [reader.binary(tree) for tree in document.get("trees", [])],
        library="catboost",
        n_features=len(features),
        base=base,
        comparison=Comparison.GREATER,
        zero_band=NO_BAND,
    )


def _document(model: catboost.CatBoost) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document


def _check_loss(document: dict[str, Any]) -> None:
    loss = document["model_info"]["params"]["loss_function"]["type"]
    if loss not in _LOSSES:
        raise TrainingError(
            f"catboost loss {loss!r} cannot be exported: use one of {', '.join(sorted(_LOSSES))}"
        )


def _float_features(document: dict[str, Any]) -> list[dict[str, Any]]:
    info: dict[str, Any] = document["features_info"]
    for kind in ("categorical_features", "text_features", "embedding_features"):
        if info.get(kind):
            raise TrainingError(
                f"catboost {kind.replace('_', ' ')} cannot be exported: encode them as numbers"
            )
    return sorted(info["float_features"], key=lambda feature: int(feature["feature_index"]))


class _TreeReader:
    """Turns trees of either shape into the flat form; the left child is where `x > border`."""

    def __init__(self, features: list[dict[str, Any]], scale: float, width: int) -> None:
        # NaN is replaced by +infinity (AsTrue) or -infinity (AsFalse), or is compared as it is
        # (AsIs), which never holds.
        self._nan_is_true = np.array(
            [feature["nan_value_treatment"] == "AsTrue" for feature in features], dtype=np.bool_
        )
        self._scale = scale
        self._width = width

    def oblivious(self, tree: dict[str, Any]) -> Tree:
        """A tree with one split a level: bit `i` of a leaf's number is the answer of split `i`.

        The first split, which parts the jobs best, comes at the root.
        """
        splits = tree.get("splits") or []
        depth = len(splits)
        level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
        number = np.arange(len(level), dtype=np.int32)
        # The leaf at place `p` from the left: the highest bit of `p` belongs to the root, a 0 is a
        # step to the left, which is an answer of 1.
        place = np.arange(2**depth)
        bits = np.arange(depth)
        answers = 1 - (place[:, np.newaxis] >> (depth - 1 - bits) & 1)
        values = np.asarray(tree["leaf_values"], dtype=np.float64).reshape(-1, self._width)
        feature = np.array([split["float_feature_index"] for split in splits], dtype=np.int32)
        return self._tree(
            feature=feature[level],
            border=np.array([split["border"] for split in splits], dtype=np.float32)[level],
            true_child=2 * number + 1,
            false_child=2 * number + 2,
            values=values[(answers << bits).sum(axis=1)],
        )

    def binary(self, tree: dict[str, Any]) -> Tree:
        """A tree of nested nodes (grow_policy Depthwise, Lossguide, Region)."""
        splits: list[dict[str, Any]] = []
        children: list[list[int]] = []  # of split i: [true, false]; leaf j as -j - 1
        values: list[Any] = []
        pending = [(tree, -1, 0)]
        while pending:
            node, parent, side = pending.pop()
            if "split" in node:
                number = len(splits)
                splits.append(node["split"])
                children.append([0, 0])
                pending += [(node["right"], number, 0), (node["left"], number, 1)]
            else:
                values.append(node["value"])
                number = -len(values)
            if parent >= 0:
                children[parent][side] = number
        child = np.array(children, dtype=np.int32).reshape(-1, 2)
        child = np.where(child < 0, len(splits) - child - 1, child)
        return self._tree(
            feature=np.array([split["float_feature_index"] for split in splits], dtype=np.int32),
            border=np.array([split["border"] for split in splits], dtype=np.float32),
            true_child=child[:, 0],
            false_child=child[:, 1],
            values=np.asarray(values, dtype=np.float64).reshape(-1, self._width),
        )

    def _tree(
        self,
        *,
        feature: np.ndarray[Any, np.dtype[np.int32]],
        border: np.ndarray[Any, np.dtype[np.float32]],
        true_child: np.ndarray[Any, np.dtype[np.int32]],
        false_child: np.ndarray[Any, np.dtype[np.int32]],
        values: Float64Array,
    ) -> Tree:
        """Splits first, then the leaves."""
        leaves = np.full(len(values), LEAF, dtype=np.int32)
        none = np.zeros(len(values), dtype=np.bool_)
        return Tree(
            feature=np.concatenate([feature, leaves]),
            threshold=np.concatenate([border.astype(np.float64), np.zeros(len(values))]),
            left=np.concatenate([true_child, leaves]),
            right=np.concatenate([false_child, leaves]),
            missing_left=np.concatenate([self._nan_is_true[feature], none]),
            zero_is_missing=np.zeros(len(feature) + len(values), dtype=np.bool_),
            values=np.concatenate([np.zeros((len(feature), self._width)), values * self._scale]),
            first_output=0,
        )
