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

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
from rt_predictor.model.learned import category_document, range_documents, reference_document
from rt_predictor.model.ports import input_sizes, output_sizes
from rt_predictor.settings import Settings
from rt_predictor.training.boosters import Progress
from rt_predictor.training.combine import EXPERTS, expert_weights
from rt_predictor.training.ensemble import Ensemble, fit_ensemble, nothing_known
from rt_predictor.training.evaluate import Evaluation, evaluate
from rt_predictor.training.exported import export_graph, verify_graph
from rt_predictor.training.held_out import answer_without_history, replay_held_out
from rt_predictor.training.interval_models import fit_interval_models
from rt_predictor.training.members import MEMBERS
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.reference import fit_reference
from rt_predictor.training.replayed import Replayed

_LIBRARIES = ("xgboost", "lightgbm", "catboost", "onnx", "onnxruntime", "numpy", "polars")


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
        ensemble, trial = fit_ensemble(log, settings.training, progress)
        models = fit_interval_models(log, ensemble, trial, settings, progress)
    with clock.step("export"):
        exported = export_graph(ensemble, models)
    with clock.step("verify"):
        parity = verify_graph(exported, log, settings.training.seed, progress)
    weights = _prior_weights(ensemble)
    document = _features_document(log, ensemble, weights)
    with clock.step("evaluate"):
        without = _answer_without_history(log, settings, progress) if request_only else None
        importance = {feature.name: feature.importance for feature in document.features}
        replayed = replay_held_out(log, exported, importance, without)
        level = settings.prediction.confidence_level
        evaluation = evaluate(" + ".join(traces), log.jobs, replayed, level)
        learned_from = ensemble.encoder.encode(log, log.split.training())
        ratios = replayed.jobs["runtime"].to_numpy() / replayed.predicted_s
        reference = fit_reference(learned_from.inputs, ratios)
    graph = exported.serialised
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
            graph_inputs=input_sizes(len(EXPERTS)),
            graph_outputs=output_sizes(len(EXPERTS)),
        ),
        features=document,
        calibration=models.calibration,
        info=_info(version, log, traces, settings),
        metrics=TrainingMetrics(
            evaluation=evaluation.to_json(),
            parity=asdict(parity),
            boosters={
                head.name: {"parameters": booster.parameters, "trees_kept": booster.trees}
                for head, booster in zip(exported.heads, exported.boosters, strict=True)
            },
            seconds=clock.seconds,
        ),
        reference=reference_document(reference),
    )
    write_bundle(folder, bundle, _library_versions())
    return TrainingReport(folder, version, bundle, evaluation, replayed)


def _answer_without_history(
    log: PreparedLog, settings: Settings, progress: Progress
) -> NDArray[np.float64]:
    blind = log.without_history()
    ensemble, _ = fit_ensemble(
        blind, settings.training, lambda step, share: progress(f"{step} (request only)", share)
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
