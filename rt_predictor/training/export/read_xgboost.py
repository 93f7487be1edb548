"""Read an XGBoost booster from its own JSON form."""

import json
from typing import Any

import numpy as np
import xgboost

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

_IDENTITY_OBJECTIVES = frozenset(
    {"reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"}
)
_LOGIT_OBJECTIVES = frozenset({"binary:logistic", "reg:logistic"})


def read_xgboost(booster: xgboost.Booster) -> TreeEnsemble:
    """All trees up to the best iteration (all trees where early stopping did not set one).

    The outputs are the raw margins: the prediction of a regression (one output a target or
    quantile), the logit of a binary classification. DART weights are folded into the leaves.

    Raises:
        TrainingError: the booster has something the graph cannot express.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    base = _base_margins(learner)
    model, weights = _tree_model(learner["gradient_booster"])
    last = model["iteration_indptr"][rounds_used(booster)]
    trees = [
        _tree(tree, weight, output)
        for tree, weight, output in zip(
            model["trees"][:last], weights[:last], model["tree_info"][:last], strict=True
        )
    ]
    return stack(
        trees,
        library="xgboost",
        n_features=int(learner["learner_model_param"]["num_feature"]),
        base=base,
        comparison=Comparison.LESS,
        zero_band=NO_BAND,
    )


def rounds_used(booster: xgboost.Booster) -> int:
    """Rounds up to the best one that early stopping recorded, or all."""
    rounds: int = booster.num_boosted_rounds()
    best = booster.attr("best_iteration")
    return rounds if best is None else min(int(best) + 1, rounds)


def _base_margins(learner: dict[str, Any]) -> Float64Array:
    objective = learner["objective"]["name"]
    param = learner["learner_model_param"]
    n_outputs = max(1, int(param["num_target"]))
    # Older versions write one number, newer ones a list of one for each target.
    scores = np.atleast_1d(np.asarray(json.loads(param["base_score"]), dtype=np.float32))
    if objective in _LOGIT_OBJECTIVES:
        scores = -np.log(np.float32(1.0) / scores - np.float32(1.0))
    elif objective not in _IDENTITY_OBJECTIVES:
        raise TrainingError(
            f"xgboost objective {objective!r} cannot be exported: use one of "
            f"{', '.join(sorted(_IDENTITY_OBJECTIVES | _LOGIT_OBJECTIVES))}"
        )
    return np.broadcast_to(scores.astype(np.float64), n_outputs).copy()


def _tree_model(gradient_booster: dict[str, Any]) -> tuple[dict[str, Any], Float64Array]:
    """The trees and the weight of each."""
    name = gradient_booster["name"]
    if name == "gbtree":
        model = gradient_booster["model"]
        return model, np.ones(len(model["trees"]))
    if name == "dart":
        model = gradient_booster["gbtree"]["model"]
        return model, np.asarray(gradient_booster["weight_drop"], dtype=np.float32).astype(
            np.float64
        )
    raise TrainingError(f"xgboost booster {name!r} has no trees: use booster='gbtree'")


def _tree(tree: dict[str, Any], weight: float, output: int) -> Tree:
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise TrainingError(
            "xgboost trees with vector leaves cannot be exported: use "
            "multi_strategy='one_output_per_tree'"
        )
    left = np.asarray(tree["left_children"], dtype=np.int32)
    leaf = left == LEAF
    if np.any(np.asarray(tree["split_type"])[~leaf] != 0):
        raise TrainingError(
            "xgboost splits on categories cannot be exported: encode them as numbers"
        )
    # Thresholds and leaf values share one list, and both are float32 in the library.
    condition = np.asarray(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    return Tree(
        feature=np.where(leaf, LEAF, np.asarray(tree["split_indices"], dtype=np.int32)),
        threshold=np.where(leaf, 0.0, condition),
        left=left,
        right=np.asarray(tree["right_children"], dtype=np.int32),
        missing_left=(np.asarray(tree["default_left"]) == 1) & ~leaf,
        zero_is_missing=np.zeros(len(left), dtype=np.bool_),
        values=np.where(leaf, condition * weight, 0.0)[:, np.newaxis],
        first_output=int(output),
    )
