"""The models behind intervals and the chance of a timeout, and what calibration adds to them.

All quantiles come from one CatBoost model with vector leaves: one walk down a tree moves all of
them, which costs the graph as much as one quantile would. Trees are few and shallow; offsets mend
what is left.
"""

from dataclasses import replace

import catboost
import lightgbm
import numpy as np
from numpy.typing import NDArray

from rt_predictor.errors import TrainingError
from rt_predictor.history.offsets import OffsetState, Scored, replay_offsets
from rt_predictor.model.bounds import GROUPS, MISS_SHARES, QUANTILES
from rt_predictor.settings import TrainingSettings
from rt_predictor.training.boosters import (
    FittedBooster,
    Samples,
    catboost_parameters,
    gain_shares,
    lightgbm_parameters,
)

Array = NDArray[np.float64]

_MIN_GROUP_JOBS = 50
"""Calibration jobs with which a group starts from offsets of its own."""


def fit_quantiles(samples: Samples, settings: TrainingSettings) -> FittedBooster:
    """Fits all of `QUANTILES` at once on targets that `to_cube_root` gives.

    `predict` of the answer gives [n, len(QUANTILES)], which may cross; `interval_s` mends that.
    """
    chosen = settings.quantiles
    parameters = {
        "loss_function": "MultiQuantile:alpha=" + ",".join(map(str, QUANTILES)),
        "iterations": chosen.trees,
        **catboost_parameters(chosen, settings),
    }
    model = catboost.CatBoostRegressor(**parameters)
    model.fit(catboost.Pool(samples.features, samples.target), logging_level="Silent")
    return FittedBooster(
        library="catboost",
        native=model,
        predict=lambda rows: np.asarray(model.predict(rows), dtype=np.float64),
        trees=model.tree_count_,
        importance=gain_shares(model.get_feature_importance(type="PredictionValuesChange")),
        parameters=parameters,
    )


def fit_timeouts(samples: Samples, settings: TrainingSettings) -> FittedBooster:
    """Fits the chance to reach the time limit, on targets of 1 (reached) and 0.

    Give it jobs that have a limit. `predict` of the answer gives [n] log-odds, which is what the
    graph has before its `Sigmoid`.

    Raises TrainingError where no job reached its limit, or all did.
    """
    if len(np.unique(samples.target)) < 2:
        raise TrainingError(
            "either none or all of the jobs reached their time limit: there is nothing to learn, "
            "answer with that share"
        )
    chosen = settings.timeouts
    parameters = {"objective": "binary", **lightgbm_parameters(chosen, settings)}
    data = lightgbm.Dataset(samples.features, samples.target, params=parameters)
    model = lightgbm.train(parameters, data, num_boost_round=chosen.trees)
    return FittedBooster(
        library="lightgbm",
        native=model,
        predict=lambda rows: np.asarray(model.predict(rows, raw_score=True), dtype=np.float64),
        trees=model.num_trees(),
        importance=gain_shares(model.feature_importance("gain")),
        parameters={**parameters, "trees": chosen.trees},
    )


def fit_offsets(jobs: Scored, told: Array) -> OffsetState:
    """What offsets stand at the end of the calibration span: the state that a bundle starts from.

    They begin at the conformal quantiles of the span's scores, by group where it has jobs enough,
    and are then folded over the span, so that their latest part weighs most.

    Args:
        jobs: those of the span, in any order, scored by quantiles that have not seen them.
        told: [n, TAILS] their scores as `told_scores` gives them, to fold.
    """
    offsets = [
        _conformal(jobs.scores[own] if np.count_nonzero(own) >= _MIN_GROUP_JOBS else jobs.scores)
        for own in (jobs.groups == group for group in range(GROUPS))
    ]
    start = OffsetState(np.array(offsets), np.zeros(GROUPS), np.zeros(GROUPS))
    return replay_offsets(replace(jobs, scores=told), start, MISS_SHARES)[1]


def _conformal(scores: Array) -> Array:
    """[tails] the least offsets that hold one more exchangeable job as often as promised."""
    ordered, count = np.sort(scores, axis=0), len(scores)
    ranks = np.ceil((1 - np.array(MISS_SHARES)) * (count + 1)).astype(np.int64)
    return np.asarray(ordered[np.clip(ranks, 1, count) - 1, np.arange(scores.shape[1])])
