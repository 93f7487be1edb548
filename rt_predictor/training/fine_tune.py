"""Tuning the base model on the log of one site, and choosing what of it to keep.

The network goes on learning, for a few passes at a small rate, from all but the jobs that ended
last. On these the base, the tuned weights and their mean are compared (the mean of the weights of
two networks that began as one is a network between them: Wortsman et al. 2022), each as it would be
served: recalibrated by the outcomes that it has not learned from, which are more for the base. The
base stays where tuning does not help.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rt_predictor.errors import TrainingError
from rt_predictor.model.bundle import Bundle
from rt_predictor.model.distribution import Distribution
from rt_predictor.model.documents import FINE_TUNED
from rt_predictor.model.fingerprints import NOTHING_LEARNED, Fingerprints
from rt_predictor.online.recalibration import LearnedLevels
from rt_predictor.settings import TrainingSettings
from rt_predictor.training.answering import Answering, AskedJobs
from rt_predictor.training.baselines import BASELINES, baselines
from rt_predictor.training.evidence import Maps, gather_evidence, served_maps
from rt_predictor.training.metrics import Array, point_metrics
from rt_predictor.training.model_graph import ModelGraph, mean_weights
from rt_predictor.training.network.fit import Schedule, fit
from rt_predictor.training.prepare import PreparedLog
from rt_predictor.training.progress import Report, part_of
from rt_predictor.training.proposing import propose_by_time
from rt_predictor.training.split import Rows, last_ended

BASE_NAME, MEAN_NAME, TUNED_NAME, SCRATCH_NAME = "base", "mean", "fine-tuned", "from scratch"
SHARES: Mapping[str, float] = {BASE_NAME: 0.0, MEAN_NAME: 0.5, TUNED_NAME: 1.0}
"""Models that are compared: the share of the way from the base to the tuned weights of each."""

LEAST_JOBS = 1000
"""Jobs below which tuning would learn chance rather than the site."""

COMPARED_JOBS = 20_000
"""Jobs of the window that models are compared on, at most."""


@dataclass(frozen=True)
class Figures:
    """Figures of a model on the jobs of the window."""

    mae_s: float
    crps_s: float
    accuracy: float
    """Mean of min / max of prediction and runtime: here short jobs count as much as long ones."""

    @classmethod
    def of(cls, predicted_s: Array, crps_s: Array, runtime_s: Array) -> "Figures":
        """Return those of n predictions and the scores of their distributions; all [n], in s."""
        points = point_metrics(predicted_s, runtime_s)
        return cls(points.mae, float(crps_s.mean()), points.accuracy)

    def over(self, other: "Figures") -> float:
        """Return the ratio of errors to those of another: below 1 where this is better."""
        errors = self.mae_s / other.mae_s, self.crps_s / other.crps_s
        return float(np.mean([*errors, other.accuracy / self.accuracy]))


@dataclass(frozen=True)
class Tuned:
    """The model that was kept from a site's training."""

    graph: ModelGraph
    name: str
    """Name of the candidate."""
    candidates: Mapping[str, Figures]
    """All that were compared; empty where the log is too small to learn from."""
    learned: Rows
    """Jobs that its weights have learned from."""
    window: Rows
    """Jobs that it was chosen by, those that ended last."""
    notes: tuple[str, ...]
    """Sentences for the user on the choice."""

    def answering(self, log: PreparedLog, version: str) -> Answering:
        """Return it ready to answer; the jobs that it learned from are no evidence."""
        learned = Fingerprints.of(log.columns.ident[self.learned])
        return self.graph.answering(FINE_TUNED, version, learned)


def fine_tune(
    log: PreparedLog, rows: Rows, base: Bundle, settings: TrainingSettings, report: Report
) -> Tuned:
    """Tune a base model on jobs of a log and choose what to keep.

    Args:
        log: the whole log.
        rows: jobs that may be learned from.
        base: a bundle, whose weights training starts from.
        settings: seed, passes, rate, the share of the window.
        report: called with the share of the work that is done.
    """
    start = ModelGraph.of(base)
    earlier, window = last_ended(log.end_s, rows, settings.window_share)
    if len(earlier) < LEAST_JOBS:
        few = (
            f"{len(earlier):,} jobs are too few to learn from, {LEAST_JOBS:,} are needed: this is "
            "the base model, recalibrated on them"
        )
        return Tuned(start, BASE_NAME, {}, earlier[:0], rows, (few,))
    lesson = log.to_learn_from(earlier, start.boosted(log, earlier), settings.seed)
    report(0.1)
    network = settings.network
    schedule = Schedule(
        network.tune_passes, network.tune_jobs_a_pass, network.tune_rate, settings.seed
    )
    tuned = fit([lesson], schedule, start=start.weights, report=part_of(report, 0.1, 0.8))
    models = {
        name: start.with_weights(mean_weights(start.weights, tuned, share))
        for name, share in SHARES.items()
    }
    compared = _drawn(window, settings.seed)
    levels = LearnedLevels.of(base.recalibration)
    candidates = {}
    for number, (name, model) in enumerate(models.items(), start=1):
        evidence = window if SHARES[name] else np.sort(np.concatenate([earlier, window]))
        candidates[name] = served_figures(log, compared, model, evidence=evidence, levels=levels)
        report(0.8 + 0.2 * number / len(models))
    best = min(candidates, key=lambda name: candidates[name].over(candidates[BASE_NAME]))
    notes = (_choice(best, candidates), *_against_rules(log, compared, candidates[best]))
    learned = earlier[:0] if best == BASE_NAME else earlier
    kept = models[best].verified(log, earlier, None)
    return Tuned(kept, best, candidates, learned, window, notes)


def from_scratch(log: PreparedLog, rows: Rows, settings: TrainingSettings, report: Report) -> Tuned:
    """Train a model on jobs of one log only. Arguments and result as of `fine_tune`.

    Raises TrainingError where the jobs do not suffice.
    """
    earlier, window = last_ended(log.end_s, rows, settings.window_share)
    if len(earlier) < LEAST_JOBS:
        raise TrainingError(
            f"{len(earlier):,} jobs are too few to learn from nothing else, {LEAST_JOBS:,} are "
            "needed: start from a base model"
        )
    boosters, boosted = propose_by_time(log, earlier, settings, part_of(report, 0.0, 0.3))
    network = settings.network
    weights = fit(
        [log.to_learn_from(earlier, boosted, settings.seed)],
        Schedule(network.passes, network.jobs_a_pass, network.rate, settings.seed),
        report=part_of(report, 0.3, 0.9),
    )
    graph = ModelGraph.build(weights, boosters).verified(log, earlier, boosters)
    compared = _drawn(window, settings.seed)
    candidates = {SCRATCH_NAME: figures(log, compared, graph)}
    notes = _against_rules(log, compared, candidates[SCRATCH_NAME])
    return Tuned(graph, SCRATCH_NAME, candidates, earlier, window, notes)


def figures(log: PreparedLog, rows: Rows, graph: ModelGraph) -> Figures:
    """Return the figures of a graph on jobs of a log, before recalibration."""
    return _figures(log, rows, graph.answering(FINE_TUNED, "candidate", NOTHING_LEARNED), None)


def served_figures(
    log: PreparedLog,
    rows: Rows,
    graph: ModelGraph,
    *,
    evidence: Rows,
    levels: LearnedLevels | None,
) -> Figures:
    """Return the figures of a graph on jobs of a log, recalibrated by what was known at submit.

    Args:
        log: the whole log.
        rows: the jobs, by submit.
        graph: what answers.
        evidence: jobs whose outcomes recalibrate, by submit.
        levels: where recalibration starts from.
    """
    model = graph.answering(FINE_TUNED, "candidate", NOTHING_LEARNED)
    known = gather_evidence(log, model, evidence, lambda _: None)
    maps, _ = served_maps(log, known, levels, rows)
    return _figures(log, rows, model, maps)


def _figures(log: PreparedLog, rows: Rows, model: Answering, maps: Maps | None) -> Figures:
    predicted_s, scores_s = np.empty((2, len(rows)))
    asked = AskedJobs.of(log.columns, log.tokens, log.limit_s)
    for piece, output in model.ask(asked, rows):
        runtime_s = log.runtime_s[rows[piece]]
        distribution = Distribution.of(output.support_s, output.weights, log.limit_s[rows[piece]])
        if maps is not None:
            distribution = maps[piece].recalibrated(distribution)
        predicted_s[piece] = distribution.median_s()
        scores_s[piece] = distribution.crps_s(runtime_s)
    return Figures.of(predicted_s, scores_s, log.runtime_s[rows])


def _drawn(window: Rows, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(window, min(len(window), COMPARED_JOBS), replace=False))


def _choice(best: str, candidates: Mapping[str, Figures]) -> str:
    base, kept = candidates[BASE_NAME], candidates[best]
    if best == BASE_NAME:
        tuned = candidates[TUNED_NAME].over(base)
        return (
            f"tuning does not help here: on the jobs that ended last the tuned model comes to "
            f"{tuned:.3f} of the base model's error, so this is the base model, recalibrated"
        )
    words = {MEAN_NAME: "the mean of base and tuned model", TUNED_NAME: "the tuned model"}
    return (
        f"{words[best]} is kept: on the jobs that ended last its error is "
        f"{kept.mae_s / base.mae_s:.3f} of the base model's, the error of its distributions "
        f"{kept.crps_s / base.crps_s:.3f}"
    )


def _against_rules(log: PreparedLog, rows: Rows, kept: Figures) -> tuple[str, ...]:
    """Return a warning where a rule that needs no model is better on these jobs."""
    predictions = baselines(log.jobs[log.rows], log.jobs[rows])
    errors = {
        name: float(np.abs(predictions[name] - log.runtime_s[rows]).mean()) for name in BASELINES
    }
    best = min(errors, key=errors.__getitem__)
    if kept.mae_s <= errors[best]:
        return ()
    return (
        f"WARNING: on the jobs that ended last the rule {best} is better than this model: mean "
        f"absolute error {errors[best]:,.0f} s against {kept.mae_s:,.0f} s",
    )
