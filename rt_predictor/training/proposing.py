"""Proposals of three boosters to the network.

The network learns from proposals that are out of sample: no booster proposes for jobs that it was
fitted on. With many logs, boosters of each half propose for the other half, so that the network
learns how good boosters are at a site that they do not know. With one log, boosters of the earlier
jobs propose for the next part in time.
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
"""Boosters that learn ratios of runtimes to the backoff rule, with equal weights. The others learn
ratios to the job's scale, and long jobs weigh more."""

JOBS_A_LOG = 12_000
"""Jobs of each of many logs that boosters learn from at most."""

JOBS_OF_ONE_LOG = 100_000
"""Jobs that they learn from at most where there is but one log: those that ended last."""

BACKOFF = [feature.name for feature in REQUEST_FEATURES].index("backoff_median5")
"""Index of the request's feature: logarithm of the backoff rule's runtime over the scale; 0 where
the rule has none."""

_WEIGHT_POWER, _WEIGHT_BOUND = 0.5, 2.5
_PIECE = 16_384
"""Jobs whose inputs are made at a time: bounds memory."""

TIME_PARTS = 4
"""Parts that one log is cut into by time; the first has no proposals."""


@dataclass(frozen=True)
class BoosterInputs:
    """Inputs of boosters for n jobs."""

    features: Float32
    """[n, features of the request]"""
    log_scale: Float32
    """[n] logarithm of the scale, in s"""

    def __getitem__(self, jobs: NDArray[np.int64]) -> "BoosterInputs":
        """Return the inputs for some of the jobs."""
        return BoosterInputs(self.features[jobs], self.log_scale[jobs])

    def anchor(self, library: str) -> Float32:
        """Return the logarithms [n], over the scale, of what a library's outputs are ratios to."""
        if library in TO_BACKOFF:
            return self.features[:, BACKOFF]
        return np.zeros(len(self.features), dtype=np.float32)


@dataclass(frozen=True)
class Boosters:
    """One fitted booster of each library, in the order of `LIBRARIES`."""

    fitted: tuple[Booster, ...]

    def propose(self, inputs: BoosterInputs) -> Float32:
        """Return proposals as logarithms of runtimes over the scale: [n, boosters]."""
        proposals = [
            booster.predict(inputs.features) + inputs.anchor(booster.library)
            for booster in self.fitted
        ]
        return np.stack(proposals, axis=1).astype(np.float32)


def fit_on_logs(
    inputs: Sequence[BoosterInputs],
    runtime_s: Sequence[NDArray[np.float64]],
    settings: TrainingSettings,
    report: Report,
) -> Boosters:
    """Fit one booster of each library on the jobs of several logs.

    Args:
        inputs: of the jobs of each log.
        runtime_s: their runtimes.
        settings: trees, their size, seed and threads.
        report: called with the share of the work that is done.

    Raises TrainingError where a library cannot learn from them.
    """
    features = np.concatenate([one.features for one in inputs])
    log_runtimes = [np.log(np.maximum(runtime, 1.0)) for runtime in runtime_s]
    weight = np.concatenate([_weight(*pair) for pair in zip(inputs, log_runtimes, strict=True)])
    fitted = []
    for index, (library, fit) in enumerate(LIBRARIES.items()):
        target = np.concatenate(
            [
                log_s - one.log_scale - one.anchor(library)
                for one, log_s in zip(inputs, log_runtimes, strict=True)
            ]
        )
        samples = Samples(
            features, target.astype(np.float32), None if library in TO_BACKOFF else weight
        )
        share = part_of(report, index / len(LIBRARIES), (index + 1) / len(LIBRARIES))
        fitted.append(fit(samples, settings, share))
    return Boosters(tuple(fitted))


def _weight(inputs: BoosterInputs, log_runtime: NDArray[np.float64]) -> Float32:
    """Return weights [n] that grow with runtime over the mean of the log."""
    mean = np.log(np.exp(log_runtime).mean())
    size = np.clip(
        _WEIGHT_POWER * (np.maximum(inputs.log_scale, log_runtime) - mean),
        -_WEIGHT_BOUND,
        _WEIGHT_BOUND,
    )
    weight: Float32 = np.exp(size).astype(np.float32)
    return weight


def booster_inputs(log: PreparedLog, rows: Rows) -> BoosterInputs:
    """Return the inputs of boosters for jobs of a log."""
    parts = [log.inputs(rows[at : at + _PIECE]) for at in range(0, len(rows), _PIECE)]
    return BoosterInputs(
        np.concatenate([part[:, REQUEST] for part in parts]),
        np.log(np.concatenate([part[:, SCALE][:, 0] for part in parts])),
    )


def no_proposals(log: PreparedLog) -> Float32:
    """Return proposals of no booster for the n jobs of a log: [n, boosters] NaN."""
    return np.full((len(log), len(LIBRARIES)), np.nan, dtype=np.float32)


def propose_by_halves(
    logs: Sequence[tuple[PreparedLog, Rows]],
    halves: Sequence[int],
    settings: TrainingSettings,
    report: Report,
) -> tuple[Boosters, list[Float32]]:
    """Fit boosters on many logs, and propose for each half of the logs with those of the other.

    Args:
        logs: each with the jobs that may be learned from.
        halves: [logs] 0 or 1: which half each is in.
        settings: the boosters, and the seed.
        report: called with the share of the work that is done.

    Returns the boosters of all logs, and the proposals for the jobs of each log: [n, boosters], NaN
    for jobs that may not be learned from.
    """
    rng = np.random.default_rng(settings.seed)
    inputs, runtime_s = [], []
    for index, (log, rows) in enumerate(logs):
        drawn = np.sort(rng.choice(rows, min(len(rows), JOBS_A_LOG), replace=False))
        inputs.append(booster_inputs(log, drawn))
        runtime_s.append(log.runtime_s[drawn])
        report(0.2 * (index + 1) / len(logs))
    boosters = fit_on_logs(inputs, runtime_s, settings, part_of(report, 0.2, 0.5))
    proposals = [no_proposals(log) for log, _ in logs]
    for half in (0, 1):
        learned = [index for index, its_half in enumerate(halves) if its_half != half]
        asked = [index for index, its_half in enumerate(halves) if its_half == half]
        out_of_sample = boosters
        if learned and asked:  # else logs of one half answer themselves
            out_of_sample = fit_on_logs(
                [inputs[index] for index in learned],
                [runtime_s[index] for index in learned],
                settings,
                part_of(report, 0.5 + 0.25 * half, 0.75 + 0.25 * half),
            )
        for index in asked:
            log, rows = logs[index]
            proposals[index][rows] = out_of_sample.propose(booster_inputs(log, rows))
    report(1.0)
    return boosters, proposals


def propose_by_time(
    log: PreparedLog, rows: Rows, settings: TrainingSettings, report: Report
) -> tuple[Boosters, Float32]:
    """Fit boosters on one log, and propose for later jobs with those of earlier ones.

    Returns the boosters of all jobs, and the proposals for the log: [n, boosters], NaN for the jobs
    of the first part and for jobs that may not be learned from.
    """
    inputs, runtime_s = booster_inputs(log, rows), log.runtime_s[rows]
    parts = np.array_split(np.argsort(log.end_s[rows], kind="stable"), TIME_PARTS)
    proposals = no_proposals(log)
    for number in range(1, TIME_PARTS + 1):
        earlier = np.concatenate(parts[:number])[-JOBS_OF_ONE_LOG:]
        share = part_of(report, (number - 1) / TIME_PARTS, number / TIME_PARTS)
        boosters = fit_on_logs([inputs[earlier]], [runtime_s[earlier]], settings, share)
        if number < TIME_PARTS:
            proposals[rows[parts[number]]] = boosters.propose(inputs[parts[number]])
    return boosters, proposals
