"""A site's model, from its job log to a bundle: prepare, tune, judge on the latest jobs, write."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from rt_predictor.errors import BundleError, TrainingError, UsageError
from rt_predictor.model.bundle import Bundle, check_replaceable, read_bundle, write_bundle
from rt_predictor.model.documents import (
    BASE,
    FINE_TUNED,
    FingerprintsDocument,
    LogDocument,
    ModelInfo,
    RecalibrationDocument,
    SpanDocument,
    TrainingMetrics,
)
from rt_predictor.model.fingerprints import Fingerprints
from rt_predictor.online.recalibration import LearnedLevels
from rt_predictor.settings import Settings
from rt_predictor.training.card import card
from rt_predictor.training.evaluate import ENSEMBLE, Evaluation, evaluate
from rt_predictor.training.evidence import recalibration_document
from rt_predictor.training.fine_tune import Tuned, fine_tune, from_scratch
from rt_predictor.training.making import Clock, features_document, library_versions, version_of
from rt_predictor.training.model_graph import weights_bytes
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.progress import Plan, Progress, Report, ignore_progress
from rt_predictor.training.replay import Span, replay
from rt_predictor.training.split import MIN_PART_JOBS, Rows

_PREPARE_S, _JUDGE_S = 60e-6, 250e-6
"""About how long each job takes."""

_TUNE_S = 30.0
"""About how long tuning takes."""


@dataclass(frozen=True)
class Start:
    """Model that training starts from."""

    base: Bundle | None
    """None: from scratch."""

    @property
    def version(self) -> str | None:
        """Version of the base model."""
        return None if self.base is None else self.base.info.model_version


@dataclass(frozen=True)
class SiteReport:
    """Result of training on a site's log."""

    folder: Path
    bundle: Bundle
    evaluation: Evaluation
    """Of the jobs that ended last."""
    notes: tuple[str, ...]
    """Sentences for the user on the choice of the model."""

    @property
    def model_version(self) -> str:
        """Version of the model that was written."""
        return self.bundle.info.model_version


def start_of(
    base: Path | None, settings: Settings, output: Path | None, *, from_scratch: bool
) -> Start:
    """Read the model that training starts from, and check that its result can be written.

    Args:
        base: folder of the base model; None takes that of the settings.
        settings: `training.base`.
        output: folder that the result goes to, if any.
        from_scratch: start from nothing.

    Raises UsageError for folders that do not go together, BundleError for one that cannot be used,
    TrainingError for a model that is no base.
    """
    if from_scratch and base is not None:
        raise UsageError("give --base or --from-scratch, not both: training starts from one")
    folder = base or settings.training.base
    if output is not None:
        if output.resolve() == folder.resolve():
            raise UsageError(f"{output} holds the base model: choose another folder")
        check_replaceable(output)
    if from_scratch:
        return Start(None)
    if not folder.is_dir():
        raise BundleError(
            f"no model bundle at {folder} to start from: name one with --base or training.base, or "
            "start --from-scratch"
        )
    bundle = read_bundle(folder)
    if bundle.info.kind != BASE:
        raise TrainingError(
            f"{folder} holds a model that was tuned on a site, not a base model: name one with "
            "--base or training.base, or start --from-scratch"
        )
    return Start(bundle)


def tune(log: PreparedLog, rows: Rows, start: Start, settings: Settings, report: Report) -> Tuned:
    """Make the model of a site from jobs of its log. Arguments as of `fine_tune`."""
    if start.base is None:
        return from_scratch(log, rows, settings.training, report)
    return fine_tune(log, rows, start.base, settings.training, report)


def train_site(
    jobs: pl.DataFrame,
    names: Sequence[str],
    start: Start,
    folder: Path,
    settings: Settings,
    *,
    progress: Progress = ignore_progress,
) -> SiteReport:
    """Make a bundle from the finished jobs of a site and write it.

    Args:
        jobs: the columns of `JOB_SCHEMA`.
        names: of the logs, for the record.
        start: where training starts from.
        folder: where the bundle goes.
        settings: everything under `[training]` and `[prediction]`.
        progress: called with the step at hand and the share of the whole that is done.

    Raises TrainingError where the jobs do not suffice, ParityError where the graph does not equal
    the models (nothing is written then), BundleError where `folder` is something else's.
    """
    clock = Clock()
    plan = Plan(
        {"preparing": _PREPARE_S * len(jobs), "tuning": _TUNE_S, "judging": _JUDGE_S * len(jobs)},
        progress,
    )
    plan.step("preparing")
    with clock.step("prepare"):
        log = prepare_log(jobs, " + ".join(names))
    rows = log.ended_before(np.inf, settings.training.max_jobs)
    if len(rows) < MIN_PART_JOBS:
        raise TrainingError(
            f"the log holds {len(rows)} jobs that ran, at least {MIN_PART_JOBS} are needed"
        )
    with clock.step("tune"):
        tuned = tune(log, rows, start, settings, plan.step("tuning"))
    version = version_of(tuned.graph.serialised)
    with clock.step("judge"):
        report = plan.step("judging")
        recalibration, evaluation = _judge(log, tuned, version, start, settings, report=report)
    info = ModelInfo(
        model_version=version,
        kind=FINE_TUNED,
        base_version=start.version,
        trained_at=time.time(),
        training_logs=(LogDocument(name=log.name, jobs=len(rows)),),
        training_span=SpanDocument(
            start=float(log.submit_s[rows].min()), end=float(log.end_s[rows].max())
        ),
        graph=tuned.graph.document,
        settings={
            "training": settings.training.model_dump(mode="json"),
            "prediction": settings.prediction.model_dump(mode="json"),
        },
        learned_from=FingerprintsDocument.of(Fingerprints.of(log.columns.ident[tuned.learned])),
    )
    candidates = {name: asdict(figures) for name, figures in tuned.candidates.items()}
    bundle = Bundle(
        graph=tuned.graph.serialised,
        info=info,
        recalibration=recalibration,
        features=features_document(),
        metrics=TrainingMetrics(
            evaluation=evaluation.to_json(),
            candidates=candidates,
            parity=tuned.graph.parity,
            boosters=tuned.graph.boosters,
            seconds=clock.seconds,
        ),
        card=card(info, (*_figures(evaluation), *tuned.notes), candidates),
        weights=weights_bytes(tuned.graph.weights),
    )
    write_bundle(folder, bundle, library_versions())
    plan.finish()
    return SiteReport(folder, bundle, evaluation, tuned.notes)


def _judge(
    log: PreparedLog,
    tuned: Tuned,
    version: str,
    start: Start,
    settings: Settings,
    *,
    report: Report,
) -> tuple[RecalibrationDocument, Evaluation]:
    """Return the start of recalibration, and the figures of the jobs that ended last."""
    first = None if start.base is None else LearnedLevels.of(start.base.recalibration)
    model = tuned.answering(log, version)
    tested = np.sort(tuned.window)
    begin_s = float(log.submit_s[tested[0]])
    span = Span(tested, log.rows[log.end_s[log.rows] <= begin_s])
    replayed = replay(log, model, first, span, settings, report=report)
    level = settings.prediction.confidence_level
    document = recalibration_document(replayed.levels, replayed.outcomes)
    return document, evaluate(log, replayed.replayed, level)


def _figures(evaluation: Evaluation) -> list[str]:
    answers, interval = evaluation.models[ENSEMBLE], evaluation.interval
    return [
        f"On the {evaluation.jobs_test:,} jobs that ended last: mean absolute error "
        f"{answers.mae:,.0f} s, median {answers.median_ae:,.0f} s, accuracy "
        f"{answers.accuracy:.3f}.",
        f"{interval.level:.0%} intervals hold {interval.coverage:.1%} of them.",
    ]
