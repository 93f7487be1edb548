"""An ensemble as one graph, and the proof that it is the ensemble."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from onnx import ModelProto

from rt_predictor.errors import ParityError
from rt_predictor.features.declared import FEATURES
from rt_predictor.model.bounds import QUANTILES, TAILS
from rt_predictor.model.ports import GRAPH_OUTPUT
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.training.boosters import FittedBooster, Progress
from rt_predictor.training.combine import expert_weights, weighted_median
from rt_predictor.training.ensemble import Ensemble, nothing_known
from rt_predictor.training.export.fuse import Head
from rt_predictor.training.export.graph import Bounds, ensemble_model
from rt_predictor.training.export.native import read
from rt_predictor.training.export.normalise import normalise
from rt_predictor.training.export.verify import ParityReport, verify
from rt_predictor.training.interval_models import IntervalModels
from rt_predictor.training.members import MEMBERS
from rt_predictor.training.prepare import Encoded, PreparedLog, answers

QUANTILE_HEAD, TIMEOUT_HEAD = "quantiles", "timeout"

_PARITY_SAMPLE_JOBS = 20_000
_ANSWER_TOLERANCE = 1e-4
"""Of the answer, and a hundredth of it of the longest runtime: leaves may be as large as that, and
cancel out in a float32 sum. That they are the right ones is proven before."""
_HALF, _TIE = 0.5, 1e-4
"""Half of the weight, and how near to it rounding may decide the median."""


@dataclass(frozen=True)
class ExportedGraph:
    """The graph, and what it was made of."""

    ensemble: Ensemble
    models: IntervalModels
    heads: tuple[Head, ...]
    boosters: tuple[FittedBooster, ...]
    """One for each head"""
    model: ModelProto
    serialised: bytes
    session: ModelSession


def export_graph(ensemble: Ensemble, models: IntervalModels) -> ExportedGraph:
    """Fuses all trees, and what is computed around them, into one graph."""
    named: list[tuple[str, tuple[str, ...]]] = [(m.name, (m.name,)) for m in MEMBERS]
    named.append((QUANTILE_HEAD, tuple(f"quantile_{share:g}" for share in QUANTILES)))
    boosters = [*ensemble.boosters, models.quantiles]
    if models.timeouts is not None:
        named.append((TIMEOUT_HEAD, (TIMEOUT_HEAD,)))
        boosters.append(models.timeouts)
    heads = [
        Head(name, (normalise(read(booster.native)),), outputs)
        for (name, outputs), booster in zip(named, boosters, strict=True)
    ]
    model = ensemble_model(
        ensemble.encoder.categories,
        heads,
        ensemble.combination,
        Bounds(models.calibration.limit_overrun, models.timeout_log_odds),
    )
    serialised = model.SerializeToString()
    session = ModelSession(serialised, GRAPH_OUTPUT, (CPU,))
    return ExportedGraph(
        ensemble, models, tuple(heads), tuple(boosters), model, serialised, session
    )


def verify_graph(
    exported: ExportedGraph, log: PreparedLog, seed: int, progress: Progress
) -> ParityReport:
    """Holds the graph to the boosters, on jobs that they were fitted on and on later ones.

    Raises ParityError where they differ by more than float32 rounding.
    """
    rng = np.random.default_rng(seed)
    half = _PARITY_SAMPLE_JOBS // 2
    parts = (log.split.training(), log.split.test)
    sample = pl.concat([part[np.sort(_choice(rng, len(part), half))] for part in parts])
    encoded = exported.ensemble.encoder.encode(log, sample)
    parity = verify(
        exported.model,
        exported.heads,
        [[booster.native] for booster in exported.boosters],
        encoded.features,
        columns=[feature.name for feature in FEATURES],
        progress=lambda step, done, total: progress(f"verify {step}", done / total),
    )
    _verify_answers(exported, encoded, _some_losses(rng, len(sample)), _some_offsets(rng, encoded))
    return parity


def _choice(rng: np.random.Generator, rows: int, most: int) -> NDArray[np.int64]:
    return rng.choice(rows, size=min(most, rows), replace=False)


def _some_losses(rng: np.random.Generator, rows: int) -> NDArray[np.float32]:
    """Sums of losses as there may be; half of the jobs have none."""
    losses = nothing_known(rows)
    known = rng.random((rows, 1, 1)) < _HALF
    return np.asarray(known * rng.exponential(3600, losses.shape), dtype=np.float32)


def _some_offsets(rng: np.random.Generator, encoded: Encoded) -> NDArray[np.float32]:
    return rng.normal(0, 0.1, (len(encoded.inputs), TAILS)).astype(np.float32)


def _verify_answers(
    exported: ExportedGraph,
    encoded: Encoded,
    losses: NDArray[np.float32],
    offsets: NDArray[np.float32],
) -> None:
    """Holds the whole graph, from assembled inputs to answers, to what NumPy makes of the boosters.

    Raises ParityError where they differ by more than float32 rounding.
    """
    ensemble, models = exported.ensemble, exported.models
    found = answers(exported.session, encoded.inputs, losses, offsets)
    experts = ensemble.experts_s(encoded)
    rounding = ensemble.combination.max_runtime_s * _ANSWER_TOLERANCE / 100
    _check_close("experts", found.experts, (experts, experts), rounding)
    weights = expert_weights(losses, np.array(ensemble.combination.prior_losses))
    medians = [weighted_median(experts, weights, share) for share in (_HALF - _TIE, _HALF + _TIE)]
    _check_close("prediction", found.prediction, medians, rounding)
    point_s = found.prediction.astype(np.float64)
    lower, upper = models.intervals_s(encoded, offsets, point_s)
    _check_close("lower", found.lower, (lower, lower), rounding)
    _check_close("upper", found.upper, (upper, upper), rounding)
    chance = models.timeout_chance(encoded)
    limited = ~np.isnan(chance)
    chances = (chance[limited], chance[limited])
    _check_close("timeout", found.timeout[limited], chances, _ANSWER_TOLERANCE)
    if not np.array_equal(limited, ~np.isnan(found.timeout)):
        raise ParityError("the graph tells jobs with a limit wrongly: no bundle is written")


def _check_close(
    name: str,
    found: NDArray[np.float32],
    bounds: Sequence[NDArray[np.float64]],
    rounding: float,
) -> None:
    least = bounds[0] * (1 - _ANSWER_TOLERANCE) - rounding
    greatest = bounds[1] * (1 + _ANSWER_TOLERANCE) + rounding
    wrong = ~((least <= found) & (found <= greatest))
    if wrong.any():
        at = tuple(int(place) for place in np.argwhere(wrong)[0])
        raise ParityError(
            f"the graph's {name} is {found[at]:g} where the boosters give {least[at]:g} to "
            f"{greatest[at]:g} (sampled job {at[0]}): the export is wrong, no bundle is written"
        )
