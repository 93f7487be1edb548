"""What three boosters say of jobs, as proposals to the network.

What the network sees of them while it learns is out of sample: a booster is never asked about jobs
that it was fitted on. Of many logs each half answers the other, so that the network learns what
boosters are worth at a site that they do not know; of one log, each part in time answers the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rt_predictor.features.matrix import REQUEST, SCALE
from rt_predictor.features.request_features import REQUEST_FEATURES
from rt_predictor.settings import TrainingSettings
from rt_predictor.training.boosting.booster import Booster, Samples
from rt_predictor.training.boosting.fit import LIBRARIES
from rt_predictor.training.prepare import PreparedLog
from rt_predictor.training.progress import Report, part_of
from rt_predictor.training.split import Rows

Float32 = NDArray[np.float32]

TO_BACKOFF = frozenset({"lightgbm"})
"""Boosters that learn how runtimes differ from the most alike jobs', all jobs counting alike. The
others learn how they differ from the job's scale, and long jobs count more."""

JOBS_A_LOG = 12_000
"""Jobs of each of many logs that boosters learn from at most."""

JOBS_OF_ONE_LOG = 100_000
"""Jobs that they learn from at most where there is but one log: those that ended last."""

BACKOFF = [feature.name for feature in REQUEST_FEATURES].index("backoff_median5")
"""Feature of the request: logarithm of what the backoff rule says, over the scale; 0 where it is
silent."""

_WEIGHT_POWER, _WEIGHT_BOUND = 0.5, 2.5
_PIECE = 16_384
"""Jobs whose inputs are made at a time: bounds memory."""

TIME_PARTS = 4
"""Parts that one log is cut into by time; of the first nothing is said."""


@dataclass(frozen=True)
class Told:
    """n jobs as boosters see them."""

    features: Float32
    """[n, features of the request]"""
    log_scale: Float32
    """[n] logarithm of the scale, in s"""

    def __getitem__(self, jobs: NDArray[np.int64]) -> "Told":
        """Return some of the jobs."""
        return Told(self.features[jobs], self.log_scale[jobs])

    def anchor(self, library: str) -> Float32:
        """[n] logarithm of what a booster's answers are ratios to, over the scale."""
        if library in TO_BACKOFF:
            return self.features[:, BACKOFF]
        return np.zeros(len(self.features), dtype=np.float32)


@dataclass(frozen=True)
class Boosters:
    """One fitted booster of each library, in the order of `LIBRARIES`."""

    fitted: tuple[Booster, ...]

    def propose(self, told: Told) -> Float32:
        """Return what they say, as logarithms of shares of the scale: [n, boosters]."""
        said = [
            booster.predict(told.features) + told.anchor(booster.library) for booster in self.fitted
        ]
        return np.stack(said, axis=1).astype(np.float32)


def fit_boosters(
    told: Sequence[Told],
    runtime_s: Sequence[NDArray[np.float64]],
    settings: TrainingSettings,
    report: Report,
) -> Boosters:
    """Fit one booster of each library on the jobs of several logs.

    Args:
        told: the jobs, a log each.
        runtime_s: what they took.
        settings: trees, their size, seed and threads.
        report: called with the share of the work that is done.

    Raises TrainingError where a library cannot learn from them.
    """
    features = np.concatenate([one.features for one in told])
    took = [np.log(np.maximum(runtime, 1.0)) for runtime in runtime_s]
    weight = np.concatenate([_weight(*pair) for pair in zip(told, took, strict=True)])
    fitted = []
    for place, (library, fit) in enumerate(LIBRARIES.items()):
        target = np.concatenate(
            [
                log_s - one.log_scale - one.anchor(library)
                for one, log_s in zip(told, took, strict=True)
            ]
        )
        samples = Samples(
            features, target.astype(np.float32), None if library in TO_BACKOFF else weight
        )
        share = part_of(report, place / len(LIBRARIES), (place + 1) / len(LIBRARIES))
        fitted.append(fit(samples, settings, share))
    return Boosters(tuple(fitted))


def _weight(told: Told, took: NDArray[np.float64]) -> Float32:
    """Long jobs count more, in measure of the log's mean; [n]."""
    mean = np.log(np.exp(took).mean())
    size = np.clip(
        _WEIGHT_POWER * (np.maximum(told.log_scale, took) - mean), -_WEIGHT_BOUND, _WEIGHT_BOUND
    )
    weight: Float32 = np.exp(size).astype(np.float32)
    return weight


def told_of(log: PreparedLog, rows: Rows) -> Told:
    """Return jobs of a log as boosters see them."""
    parts = [log.inputs(rows[at : at + _PIECE]) for at in range(0, len(rows), _PIECE)]
    return Told(
        np.concatenate([part[:, REQUEST] for part in parts]),
        np.log(np.concatenate([part[:, SCALE][:, 0] for part in parts])),
    )


def silence(log: PreparedLog) -> Float32:
    """Return that nothing is said of any job of a log: [n, boosters] NaN."""
    return np.full((len(log), len(LIBRARIES)), np.nan, dtype=np.float32)


def by_halves(
    logs: Sequence[tuple[PreparedLog, Rows]],
    halves: Sequence[int],
    settings: TrainingSettings,
    report: Report,
) -> tuple[Boosters, list[Float32]]:
    """Fit boosters on many logs, and let those of each half of the logs speak of the other's jobs.

    Args:
        logs: each with the jobs that may be learned from.
        halves: [logs] 0 or 1: which half each is in.
        settings: the boosters, and the seed.
        report: called with the share of the work that is done.

    Returns the boosters of all logs, and what each job of each log is told: [n, boosters], NaN for
    jobs that may not be learned from.
    """
    rng = np.random.default_rng(settings.seed)
    told, took = [], []
    for place, (log, rows) in enumerate(logs):
        some = np.sort(rng.choice(rows, min(len(rows), JOBS_A_LOG), replace=False))
        told.append(told_of(log, some))
        took.append(log.runtime_s[some])
        report(0.2 * (place + 1) / len(logs))
    boosters = fit_boosters(told, took, settings, part_of(report, 0.2, 0.5))
    said = [silence(log) for log, _ in logs]
    for half in (0, 1):
        learned = [place for place, its in enumerate(halves) if its != half]
        asked = [place for place, its in enumerate(halves) if its == half]
        judges = boosters
        if learned and asked:  # else logs of one half answer themselves
            judges = fit_boosters(
                [told[place] for place in learned],
                [took[place] for place in learned],
                settings,
                part_of(report, 0.5 + 0.25 * half, 0.75 + 0.25 * half),
            )
        for place in asked:
            log, rows = logs[place]
            said[place][rows] = judges.propose(told_of(log, rows))
    report(1.0)
    return boosters, said


def by_time(
    log: PreparedLog, rows: Rows, settings: TrainingSettings, report: Report
) -> tuple[Boosters, Float32]:
    """Fit boosters on one log, and let those of earlier jobs speak of later ones.

    Returns the boosters of all jobs, and what each job of the log is told: [n, boosters], NaN for
    the first part and for jobs that may not be learned from.
    """
    told, took = told_of(log, rows), log.runtime_s[rows]
    parts = np.array_split(np.argsort(log.end_s[rows], kind="stable"), TIME_PARTS)
    said = silence(log)
    for number in range(1, TIME_PARTS + 1):
        earlier = np.concatenate(parts[:number])[-JOBS_OF_ONE_LOG:]
        share = part_of(report, (number - 1) / TIME_PARTS, number / TIME_PARTS)
        boosters = fit_boosters([told[earlier]], [took[earlier]], settings, share)
        if number < TIME_PARTS:
            said[rows[parts[number]]] = boosters.propose(told[parts[number]])
    return boosters, said
