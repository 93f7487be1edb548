"""Training from end to end: prepare, fit, export, verify, evaluate, write."""

import hashlib
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.errors import ParityError
from rt_predictor.features.assemble import training_ranges
from rt_predictor.features.declared import FEATURES, INPUTS
from rt_predictor.model.bundle import Bundle, write_bundle
from rt_predictor.model.documents import (
    EnsembleConfig,
    FeatureDocument,
    FeaturesDocument,
    ModelEntry,
    ModelInfo,
    TrainingMetrics,
)
from rt_predictor.model.learned import category_document, range_documents
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.settings import Settings
from rt_predictor.training.boosters import FittedBooster, Progress
from rt_predictor.training.combine import EXPERTS, expert_weights, weighted_median
from rt_predictor.training.ensemble import Ensemble, fit_ensemble, nothing_known
from rt_predictor.training.evaluate import Evaluation, evaluate
from rt_predictor.training.export.fuse import Head
from rt_predictor.training.export.graph import (
    GRAPH_INPUTS,
    GRAPH_OUTPUTS,
    IntervalShape,
    ensemble_model,
)
from rt_predictor.training.export.native import read
from rt_predictor.training.export.normalise import normalise
from rt_predictor.training.export.verify import ParityReport, verify
from rt_predictor.training.held_out import answer_without_history, replay_held_out
from rt_predictor.training.members import MEMBERS
from rt_predictor.training.prepare import Encoded, PreparedLog, prepare_log, run_in_chunks
from rt_predictor.training.replayed import Replayed

_LIBRARIES = ("xgboost", "lightgbm", "catboost", "onnx", "onnxruntime", "numpy", "polars")
_PARITY_SAMPLE_JOBS = 20_000
_ANSWER_TOLERANCE = 1e-4
"""Of the answer, and a hundredth of it of the longest runtime: leaves may be as large as that, and
cancel out in a float32 sum. That they are the right ones is proven before."""
_HALF, _TIE = 0.5, 1e-4
"""Half of the weight, and how near to it rounding may decide the median."""


@dataclass(frozen=True)
class TrainingReport:
    """What `train` did."""

    folder: Path
    model_version: str
    bundle: Bundle
    evaluation: Evaluation
    replayed: Replayed
    """What the graph said of the held-out jobs."""


class _Clock:
    """Wall-clock seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)


def _ignore_progress(_step: str, _share: float) -> None:
    pass


def train(
    jobs: pl.DataFrame,
    traces: Sequence[str],
    folder: Path,
    settings: Settings,
    progress: Progress = _ignore_progress,
    *,
    request_only: bool = False,
) -> TrainingReport:
    """Makes a bundle from finished jobs and writes it to `folder`.

    Args:
        jobs: the columns of `JOB_SCHEMA`.
        traces: names of the logs, for the record.
        folder: where the bundle goes.
        settings: everything under `[training]` and `prediction.confidence_level`.
        progress: called with a step's name and the share of it that is done.
        request_only: also fit the same ensemble without users and history, to compare with.

    Raises TrainingError where the jobs do not suffice, ParityError where the graph does not equal
    the boosters (nothing is written then), BundleError where `folder` is something else's.
    """
    clock = _Clock()
    with clock.step("prepare"):
        log = prepare_log(jobs, settings.training)
    with clock.step("fit"):
        ensemble = fit_ensemble(log, settings, progress)
    with clock.step("export"):
        exported = _export(ensemble)
    with clock.step("verify"):
        parity = _verify(log, ensemble, exported, settings, progress)
    weights = _prior_weights(ensemble)
    document = _features_document(log, ensemble, weights)
    with clock.step("evaluate"):
        without = _answer_without_history(log, settings, progress) if request_only else None
        importance = {feature.name: feature.importance for feature in document.features}
        replayed = replay_held_out(log, ensemble, exported.session, importance, without)
        level = settings.prediction.confidence_level
        evaluation = evaluate(" + ".join(traces), log.jobs, replayed, level)
    graph = exported.graph
    version = f"{datetime.now(UTC):%Y.%m.%d}-{hashlib.sha256(graph).hexdigest()[:8]}"
    trees = dict.fromkeys(EXPERTS, 0)
    trees |= {m.name: b.trees for m, b in zip(MEMBERS, ensemble.boosters, strict=True)}
    bundle = Bundle(
        graph=graph,
        ensemble=EnsembleConfig(
            models={
                name: ModelEntry(weight=weight, trees=trees[name])
                for name, weight in zip(EXPERTS, weights.tolist(), strict=True)
            },
            graph_inputs=GRAPH_INPUTS,
            graph_outputs=GRAPH_OUTPUTS,
        ),
        features=document,
        calibration=ensemble.calibration,
        info=_info(version, log, traces, settings),
        metrics=TrainingMetrics(
            evaluation=evaluation.to_json(),
            parity=asdict(parity),
            boosters={
                member.name: {"parameters": booster.parameters, "trees_kept": booster.trees}
                for member, booster in zip(MEMBERS, ensemble.boosters, strict=True)
            },
            seconds=clock.seconds,
        ),
    )
    write_bundle(folder, bundle, _library_versions())
    return TrainingReport(folder, version, bundle, evaluation, replayed)


@dataclass(frozen=True)
class _Exported:
    """The graph, and what it was made of."""

    heads: list[Head]
    model: Any
    graph: bytes
    session: ModelSession


def _export(ensemble: Ensemble) -> _Exported:
    heads = [
        _head(member.name, booster)
        for member, booster in zip(MEMBERS, ensemble.boosters, strict=True)
    ]
    calibration = ensemble.calibration
    model = ensemble_model(
        ensemble.encoder.categories,
        heads,
        ensemble.combination,
        IntervalShape(calibration.lower_ratio, calibration.upper_ratio, calibration.limit_overrun),
    )
    graph = model.SerializeToString()
    return _Exported(heads, model, graph, ModelSession(graph, GRAPH_OUTPUTS, (CPU,)))


def _head(name: str, booster: FittedBooster) -> Head:
    """The trees of a booster in canonical form, as one output of the graph."""
    return Head(name, (normalise(read(booster.native)),), (name,))


def _verify(
    log: PreparedLog,
    ensemble: Ensemble,
    exported: _Exported,
    settings: Settings,
    progress: Progress,
) -> ParityReport:
    """Holds the graph to the boosters, on jobs that they were fitted on and on later ones."""
    rng = np.random.default_rng(settings.training.seed)
    half = _PARITY_SAMPLE_JOBS // 2
    parts = (log.split.training(), log.split.test)
    sample = pl.concat([part[np.sort(_choice(rng, len(part), half))] for part in parts])
    encoded = ensemble.encoder.encode(log, sample)
    parity = verify(
        exported.model,
        exported.heads,
        [[booster.native] for booster in ensemble.boosters],
        encoded.features,
        columns=[feature.name for feature in FEATURES],
        progress=lambda step, done, total: progress(f"verify {step}", done / total),
    )
    losses = nothing_known(len(sample))
    losses += rng.exponential(3600, losses.shape).astype(np.float32) * rng.integers(
        0, 2, (len(losses), 1, 1), dtype=np.int32
    ).astype(np.float32)
    _verify_answers(ensemble, exported.session, encoded, losses)
    return parity


def _choice(rng: np.random.Generator, rows: int, most: int) -> NDArray[np.int64]:
    return rng.choice(rows, size=min(most, rows), replace=False)


def _verify_answers(
    ensemble: Ensemble,
    session: ModelSession,
    encoded: Encoded,
    losses: NDArray[np.float32],
) -> None:
    """Holds the whole graph, from assembled inputs to answers, to what NumPy makes of the boosters.

    Raises ParityError where they differ by more than float32 rounding.
    """
    point, _, experts = run_in_chunks(session, encoded.inputs, losses)
    expected = ensemble.experts_s(encoded)
    rounding = ensemble.combination.max_runtime_s * _ANSWER_TOLERANCE / 100
    _check_close(experts, expected, expected, rounding)
    weights = expert_weights(losses, np.array(ensemble.combination.prior_losses))
    least, greatest = (
        weighted_median(expected, weights, share) for share in (_HALF - _TIE, _HALF + _TIE)
    )
    _check_close(point, least, greatest, rounding)


def _check_close(
    found: NDArray[np.float32],
    least: NDArray[np.float64],
    greatest: NDArray[np.float64],
    rounding: float,
) -> None:
    least = least * (1 - _ANSWER_TOLERANCE) - rounding
    greatest = greatest * (1 + _ANSWER_TOLERANCE) + rounding
    wrong = ~((least <= found) & (found <= greatest))
    if wrong.any():
        at = tuple(int(place) for place in np.argwhere(wrong)[0])
        raise ParityError(
            f"the graph answers {found[at]:g} s where the boosters give {least[at]:g} to "
            f"{greatest[at]:g} s (sampled job {at[0]}): the export is wrong, no bundle is written"
        )


def _answer_without_history(
    log: PreparedLog, settings: Settings, progress: Progress
) -> NDArray[np.float64]:
    blind = log.without_history()
    ensemble = fit_ensemble(
        blind, settings, lambda step, share: progress(f"{step} (request only)", share)
    )
    return answer_without_history(blind, ensemble)


def _prior_weights(ensemble: Ensemble) -> NDArray[np.float64]:
    """[len(EXPERTS)] shares of the vote before any job has ended."""
    prior = np.array(ensemble.combination.prior_losses)
    weights = expert_weights(nothing_known(1), prior)[0]
    return np.asarray(weights / weights.sum())


def _features_document(
    log: PreparedLog, ensemble: Ensemble, weights: NDArray[np.float64]
) -> FeaturesDocument:
    return FeaturesDocument(
        inputs=tuple(item.name for item in INPUTS),
        features=tuple(
            FeatureDocument(
                name=feature.name,
                unit=feature.unit,
                why=feature.why,
                op=feature.op.value,
                inputs=feature.inputs,
                importance=min(float(share), 1.0),
            )
            for feature, share in zip(FEATURES, ensemble.importance(weights), strict=True)
        ),
        categories=tuple(category_document(c) for c in ensemble.encoder.categories),
        ranges=range_documents(training_ranges(log.split.training())),
    )


def _info(version: str, log: PreparedLog, traces: Sequence[str], settings: Settings) -> ModelInfo:
    split = log.split
    return ModelInfo(
        model_version=version,
        trained_at=time.time(),
        training_span_start=float(split.fit["submit_time"].min()),  # type: ignore[arg-type]
        training_span_end=split.mark_s,
        training_samples=len(split.training()),
        training_traces=tuple(traces),
        settings={
            "training": settings.training.model_dump(mode="json"),
            "prediction": settings.prediction.model_dump(mode="json"),
        },
    )


def _library_versions() -> dict[str, str]:
    """By module, since the same library comes from distributions of several names."""
    versions = {name: str(import_module(name).__version__) for name in _LIBRARIES}
    return {"python": platform.python_version(), **versions}
