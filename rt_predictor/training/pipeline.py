"""Training from end to end: split, fit, combine, calibrate, export, verify, evaluate, write."""

import hashlib
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from rt_predictor.features.assemble import Assembler, training_ranges
from rt_predictor.features.categories import fit_category
from rt_predictor.features.declared import CATEGORY_FIELDS, FEATURES, INPUTS
from rt_predictor.features.jobs import numbers
from rt_predictor.features.rules import null_invalid
from rt_predictor.history.replay import LogHistory
from rt_predictor.model.bundle import Bundle, write_bundle
from rt_predictor.model.documents import (
    CalibrationDocument,
    EnsembleConfig,
    FeatureDocument,
    FeaturesDocument,
    ModelEntry,
    ModelInfo,
    TrainingMetrics,
)
from rt_predictor.model.interval import ErrorDistribution
from rt_predictor.model.learned import category_document, range_documents
from rt_predictor.model.session import CPU, ModelSession
from rt_predictor.settings import Settings
from rt_predictor.training.baselines import user_runs
from rt_predictor.training.boosters import FittedBooster, Progress, Samples, fit_boosters
from rt_predictor.training.calibrate import constant_width, fit_calibration, fit_limit_overrun
from rt_predictor.training.combine import Combination, fit_combination
from rt_predictor.training.evaluate import Evaluation, evaluate
from rt_predictor.training.export.fuse import Head
from rt_predictor.training.export.graph import (
    GRAPH_INPUT,
    GRAPH_OUTPUTS,
    IntervalShape,
    ensemble_model,
    feature_model,
)
from rt_predictor.training.export.normalise import normalise
from rt_predictor.training.export.read_catboost import read_catboost
from rt_predictor.training.export.read_lightgbm import read_lightgbm
from rt_predictor.training.export.read_xgboost import read_xgboost
from rt_predictor.training.export.trees import TreeEnsemble
from rt_predictor.training.export.verify import verify
from rt_predictor.training.metrics import share
from rt_predictor.training.replayed import Replayed
from rt_predictor.training.split import Split, scorable, split_by_time

_LIBRARIES = ("xgboost", "lightgbm", "catboost", "onnx", "onnxruntime", "numpy", "polars")
_READERS: Mapping[str, Callable[[Any], TreeEnsemble]] = {
    "xgboost": read_xgboost,
    "lightgbm": read_lightgbm,
    "catboost": read_catboost,
}
_PARITY_SAMPLE_JOBS = 20_000
_CHUNK_ROWS = 65_536
_ANSWER_TOLERANCE = 1e-4
"""Relative; float32 sums of some hundred leaves, large against the sum where they cancel out."""


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


@dataclass(frozen=True)
class _Prepared:
    """A log, cut up, and what the encoders learned from its first part."""

    trace: str
    jobs: pl.DataFrame
    split: Split
    assembler: Assembler
    features: ModelSession

    def inputs(self, jobs: pl.DataFrame) -> NDArray[np.float32]:
        """[n, len(INPUTS)]"""
        return self.assembler.assemble(jobs)

    def samples(self, jobs: pl.DataFrame) -> Samples:
        """What the boosters see of jobs, and the outcomes."""
        return Samples(_run(self.features, self.inputs(jobs))[0], jobs["runtime"].to_numpy())


def _ignore_progress(_step: str, _share: float) -> None:
    pass


def train(
    jobs: pl.DataFrame,
    traces: Sequence[str],
    folder: Path,
    settings: Settings,
    progress: Progress = _ignore_progress,
) -> TrainingReport:
    """Makes a bundle from finished jobs and writes it to `folder`.

    Args:
        jobs: the columns of `JOB_SCHEMA`.
        traces: names of the logs, for the record.
        folder: where the bundle goes.
        settings: everything under `[training]` and `prediction.confidence_level`.
        progress: called with a step's name and the share of it that is done.

    Raises TrainingError where the jobs do not suffice, ParityError where the graph does not equal
    the boosters (nothing is written then), BundleError where `folder` is something else's.
    """
    clock = _Clock()
    with clock.step("prepare"):
        prepared = _prepare(jobs, " + ".join(traces), settings)
        split = prepared.split
    with clock.step("fit"):
        fit, stop = prepared.samples(split.fit), prepared.samples(split.stop)
        boosters = fit_boosters(fit, stop, settings.training, progress)
    with clock.step("calibrate"):
        held_back = prepared.samples(split.calibrate)
        raw = np.column_stack([booster.predict(held_back.features) for booster in boosters])
        limits = numbers(split.calibrate, "time_req")
        combination = fit_combination(raw, limits, held_back.runtime_s, _longest(split))
        predicted = combination.apply(raw, limits)
        level = settings.prediction.confidence_level
        overrun = fit_limit_overrun(held_back.runtime_s, limits)
        calibration = fit_calibration(predicted, held_back.runtime_s, level, overrun)
    with clock.step("export"):
        heads = [_head(booster) for booster in boosters]
        model = ensemble_model(
            prepared.assembler.categories,
            heads,
            combination,
            IntervalShape(calibration.lower_ratio, calibration.upper_ratio, overrun),
        )
        graph = model.SerializeToString()
        session = ModelSession(graph, GRAPH_OUTPUTS, (CPU,))
    with clock.step("verify"):
        sample = _parity_rows(fit.features, held_back.features, settings.training.seed)
        parity = verify(
            model,
            heads,
            [[booster.native] for booster in boosters],
            sample,
            columns=[feature.name for feature in FEATURES],
            progress=lambda step, done, total: progress(f"verify {step}", done / total),
        )
        _verify_answers(_run(session, prepared.inputs(split.calibrate)), predicted)
    with clock.step("evaluate"):
        document = _features_document(prepared, boosters, combination)
        replayed = _replayed(
            prepared,
            session,
            calibration=calibration,
            members=[booster.name for booster in boosters],
            constant_factor=constant_width(predicted, held_back.runtime_s, level),
            importance={feature.name: feature.importance for feature in document.features},
        )
        evaluation = evaluate(prepared.trace, prepared.jobs, replayed, level)
    version = f"{datetime.now(UTC):%Y.%m.%d}-{hashlib.sha256(graph).hexdigest()[:8]}"
    bundle = Bundle(
        graph=graph,
        ensemble=EnsembleConfig(
            models={
                booster.name: ModelEntry(weight=weight, trees=booster.trees)
                for booster, weight in zip(boosters, combination.weights, strict=True)
            },
            graph_input=GRAPH_INPUT,
            graph_outputs=GRAPH_OUTPUTS,
        ),
        features=document,
        calibration=calibration,
        info=_info(version, prepared, traces, settings),
        metrics=TrainingMetrics(
            evaluation=evaluation.to_json(),
            parity=asdict(parity),
            boosters={
                booster.name: {"parameters": booster.parameters, "trees_kept": booster.trees}
                for booster in boosters
            },
            seconds=clock.seconds,
        ),
    )
    write_bundle(folder, bundle, _library_versions())
    return TrainingReport(folder, version, bundle, evaluation, replayed)


def _head(booster: FittedBooster) -> Head:
    """The trees of a booster in canonical form, as one output of the graph."""
    read = _READERS[booster.name]
    return Head(booster.name, (normalise(read(booster.native)),), (booster.name,))


def _prepare(jobs: pl.DataFrame, trace: str, settings: Settings) -> _Prepared:
    jobs = null_invalid(scorable(jobs))
    split = split_by_time(jobs, settings.training)
    salt = secrets.token_hex(16)
    categories = tuple(
        fit_category(
            field,
            split.fit,
            min_jobs=settings.training.min_category_jobs,
            max_names=settings.training.max_categories,
            salt=salt,
        )
        for field in CATEGORY_FIELDS
    )
    session = ModelSession(feature_model(categories).SerializeToString(), ("features",), (CPU,))
    return _Prepared(trace, jobs, split, Assembler(categories), session)


def _run(session: ModelSession, rows: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Runs rows in chunks, so that memory for intermediate columns stays small."""
    chunks = [session.run(rows[i : i + _CHUNK_ROWS]) for i in range(0, len(rows), _CHUNK_ROWS)]
    return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]


def _longest(split: Split) -> float:
    parts = (split.fit, split.stop, split.calibrate)
    return max(float(part["runtime"].max()) for part in parts)  # type: ignore[arg-type]


def _replayed(
    prepared: _Prepared,
    session: ModelSession,
    *,
    calibration: CalibrationDocument,
    members: Sequence[str],
    constant_factor: float,
    importance: Mapping[str, float],
) -> Replayed:
    test, learned = prepared.split.test, prepared.split.training()
    point, interval, each = _run(session, prepared.inputs(test))
    predicted = point.astype(np.float64)
    errors = ErrorDistribution.from_document(calibration)
    limits, learned_limits = numbers(test, "time_req"), numbers(learned, "time_req")
    reached = (learned["runtime"].to_numpy() >= learned_limits)[~np.isnan(learned_limits)]
    # Both kinds of intervals end where jobs do: else the comparison would flatter ours.
    longest = np.maximum(limits * calibration.limit_overrun, predicted)
    return Replayed(
        jobs=test,
        jobs_train=len(learned),
        predicted_s=predicted,
        members={name: each[:, place].astype(np.float64) for place, name in enumerate(members)},
        levels=(calibration.level,),
        lower_s=interval[:, :1].astype(np.float64),
        upper_s=interval[:, 1:].astype(np.float64),
        constant_lower_s=(predicted / constant_factor)[:, None],
        constant_upper_s=np.fmin(predicted * constant_factor, longest)[:, None],
        timeout_probability=errors.probability_of_reaching(limits, predicted),
        timeout_base_rate=share(reached),
        request_only_s=predicted,  # the models see nothing else yet
        user_runs=user_runs(LogHistory(prepared.jobs).features(test)),
        importance=importance,
    )


def _features_document(
    prepared: _Prepared, boosters: Sequence[FittedBooster], combination: Combination
) -> FeaturesDocument:
    importance = sum(
        weight * booster.importance
        for booster, weight in zip(boosters, combination.weights, strict=True)
    )
    split = prepared.split
    ranges = training_ranges(split.training())
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
            for feature, share in zip(FEATURES, np.asarray(importance), strict=True)
        ),
        categories=tuple(category_document(c) for c in prepared.assembler.categories),
        ranges=range_documents(ranges),
    )


def _info(
    version: str, prepared: _Prepared, traces: Sequence[str], settings: Settings
) -> ModelInfo:
    split = prepared.split
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


def _verify_answers(outputs: Sequence[NDArray[np.float32]], predicted: NDArray[np.float64]) -> None:
    """Holds the whole graph, from assembled inputs to answers, to what NumPy makes of the boosters.

    Raises ParityError where they differ by more than float32 rounding.
    """
    found = outputs[0]
    apart = np.abs(found - predicted) / predicted
    worst = int(np.argmax(apart))
    if apart[worst] > _ANSWER_TOLERANCE:
        raise ParityError(
            f"the graph answers {found[worst]:g} s where the boosters give {predicted[worst]:g} s "
            f"(calibration job {worst}): the export is wrong, no bundle is written"
        )


def _parity_rows(
    fitted: NDArray[np.float32], held_back: NDArray[np.float32], seed: int
) -> NDArray[np.float32]:
    """Rows that the trees were fitted on and rows that they were not, for the parity check."""
    rng = np.random.default_rng(seed)
    half = _PARITY_SAMPLE_JOBS // 2
    parts = [
        rows[rng.choice(len(rows), size=min(half, len(rows)), replace=False)]
        for rows in (fitted, held_back)
    ]
    return np.concatenate(parts)


def _library_versions() -> dict[str, str]:
    """By module, since the same library comes from distributions of several names."""
    versions = {name: str(import_module(name).__version__) for name in _LIBRARIES}
    return {"python": platform.python_version(), **versions}
