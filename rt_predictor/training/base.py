"""The base model: one network and three boosters that learn from the logs of many sites."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rt_predictor.model.bundle import Bundle, check_replaceable, write_bundle
from rt_predictor.model.documents import BASE, LogDocument, ModelInfo, TrainingMetrics
from rt_predictor.model.fingerprints import NOTHING_LEARNED
from rt_predictor.online.recalibration import LearnedLevels
from rt_predictor.settings import Settings
from rt_predictor.training.baselines import BASELINES, baselines
from rt_predictor.training.card import card
from rt_predictor.training.evidence import learn, recalibration_document
from rt_predictor.training.fine_tune import figures
from rt_predictor.training.making import Clock, features_document, library_versions, version_of
from rt_predictor.training.model_graph import ModelGraph, weights_bytes
from rt_predictor.training.network.fit import Schedule, fit
from rt_predictor.training.network.forward import Weights
from rt_predictor.training.prepare import PreparedLog
from rt_predictor.training.progress import Plan, Progress, Report, ignore_progress, part_of
from rt_predictor.training.proposing import propose_by_halves
from rt_predictor.training.split import Rows, Split, split_by_time

_SECONDS = {"boosters": 400.0, "network": 1500.0, "judging": 200.0}
"""Durations of the steps, about, to weigh them in the progress."""

JUDGED_JOBS = 20_000
"""Jobs of a log after its mark that figures and recalibration come from, at most."""


@dataclass(frozen=True)
class BaseLog:
    """A log that the base model learns from."""

    log: PreparedLog
    centre: str
    """Operator of the system: boosters that learned from its logs do not propose for them."""
    acknowledgement: str | None
    judged: bool
    """True: only jobs that had ended before the mark of the test span are learned from, and later
    jobs give the start of the recalibration and the figures. False: all are learned from."""


def train_base(
    logs: Sequence[BaseLog],
    folder: Path,
    settings: Settings,
    progress: Progress = ignore_progress,
    *,
    start: Weights | None = None,
) -> Bundle:
    """Train a base model and write its bundle.

    Args:
        logs: what to learn from.
        folder: where the bundle goes.
        settings: everything under `[training]`.
        progress: called with the step at hand and the share of the whole that is done.
        start: weights of a network that has learned from these logs already, which are kept; None
            trains one.

    Raises TrainingError where a log has too few jobs, ParityError where the graph does not equal
    the models (nothing is written then), BundleError where `folder` is something else's.
    """
    check_replaceable(folder)
    clock, plan, training = Clock(), Plan(_SECONDS, progress), settings.training
    splits = [_split(base_log, settings) for base_log in logs]
    parts = [split.training for split in splits]
    with clock.step("boosters"):
        boosters, boosted = propose_by_halves(
            list(zip((base_log.log for base_log in logs), parts, strict=True)),
            halves_of([base_log.centre for base_log in logs]),
            training,
            plan.step("boosters"),
        )
    with clock.step("network"):
        lessons = [
            base_log.log.to_learn_from(rows, proposals, training.seed)
            for base_log, rows, proposals in zip(logs, parts, boosted, strict=True)
        ]
        network, report = training.network, plan.step("network")
        schedule = Schedule(network.passes, network.jobs_a_pass, network.rate, training.seed)
        weights = fit(lessons, schedule, report=report) if start is None else start
    with clock.step("verify"):
        graph = ModelGraph.build(weights, boosters).verified(logs[0].log, parts[0], boosters)
    with clock.step("judge"):
        levels, measured = _judge(logs, splits, graph, settings, plan.step("judging"))
    version = version_of(graph.serialised)
    info = ModelInfo(
        model_version=version,
        kind=BASE,
        trained_at=time.time(),
        training_logs=tuple(
            LogDocument(
                name=base_log.log.name, jobs=len(rows), acknowledgement=base_log.acknowledgement
            )
            for base_log, rows in zip(logs, parts, strict=True)
        ),
        training_span=None,
        graph=graph.document,
        settings={"training": training.model_dump(mode="json")},
    )
    bundle = Bundle(
        graph=graph.serialised,
        info=info,
        recalibration=recalibration_document(levels, sum(len(split.test) for split in splits)),
        features=features_document(),
        metrics=TrainingMetrics(
            evaluation=measured.evaluation(),
            candidates=measured.by_log,
            parity=graph.parity,
            boosters=graph.boosters,
            seconds=clock.seconds,
        ),
        card=card(info, measured.sentences(), measured.by_log),
        weights=weights_bytes(weights),
    )
    write_bundle(folder, bundle, library_versions())
    plan.finish()
    return bundle


def halves_of(centres: Sequence[str]) -> list[int]:
    """Return which half each log is in, so that logs of a centre are together: 0 or 1."""
    order = list(dict.fromkeys(centres))
    return [order.index(centre) % 2 for centre in centres]


@dataclass(frozen=True)
class Measured:
    """Figures of a base model on jobs after the marks; it knows earlier jobs of the same logs."""

    by_log: dict[str, dict[str, float]]

    def evaluation(self) -> dict[str, object]:
        """Return the figures as an evaluation's JSON has them; empty where nothing was measured."""
        if not self.by_log:
            return {}
        mean = {
            name: float(np.mean([figures[name] for figures in self.by_log.values()]))
            for name in ("mae_s", "crps_s")
        }
        return {"models": {"ensemble": {"mae": mean["mae_s"], "crps": mean["crps_s"]}}}

    def sentences(self) -> list[str]:
        """Return the figures in sentences."""
        if not self.by_log:
            return ["It was not judged."]
        ratios = [figures["MAE / best rule"] for figures in self.by_log.values()]
        mean = float(np.exp(np.mean(np.log(ratios))))
        return [
            f"On jobs of {len(ratios)} logs after what it learned from, its mean absolute error is "
            f"{mean:.3f} of that of the best rule that needs no model, in geometric mean. Of these "
            "logs it knows earlier jobs; docs/accuracy.md has figures of sites that such a model "
            "has never seen."
        ]


def _split(base_log: BaseLog, settings: Settings) -> Split:
    log, training = base_log.log, settings.training
    if base_log.judged:
        split = split_by_time(log.submit_s, log.end_s, log.rows, training.test_share)
    else:
        split = Split(np.inf, log.rows, log.rows[:0])
    newest = log.ended_before(split.mark_s, training.max_jobs)
    return Split(split.mark_s, newest, split.test)


def _judge(
    logs: Sequence[BaseLog],
    splits: Sequence[Split],
    graph: ModelGraph,
    settings: Settings,
    report: Report,
) -> tuple[LearnedLevels, Measured]:
    """Return the start of recalibration, and figures, from jobs after the marks."""
    model = graph.answering(BASE, "candidate", NOTHING_LEARNED)
    later: list[tuple[PreparedLog, Rows]] = []
    by_log = {}
    for number, (base_log, split) in enumerate(zip(logs, splits, strict=True)):
        if len(split.test):
            rng = np.random.default_rng(settings.training.seed)
            count = min(len(split.test), JUDGED_JOBS)
            rows = np.sort(rng.choice(split.test, count, replace=False))
            later.append((base_log.log, rows))
            by_log[base_log.log.name] = _figures(base_log.log, rows, graph)
        report(0.5 * (number + 1) / len(logs))
    levels = learn(later, model, part_of(report, 0.5, 1.0))
    return levels, Measured(by_log)


def _figures(log: PreparedLog, rows: Rows, graph: ModelGraph) -> dict[str, float]:
    measured = figures(log, rows, graph)
    predictions = baselines(log.jobs[log.rows], log.jobs[rows])
    best = min(float(np.abs(predictions[name] - log.runtime_s[rows]).mean()) for name in BASELINES)
    return {
        "mae_s": measured.mae_s,
        "crps_s": measured.crps_s,
        "best rule, MAE s": best,
        "MAE / best rule": measured.mae_s / best,
    }
