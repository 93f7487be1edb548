"""The ensemble, before it is a graph: members, and how they are combined.

Members are fitted twice. First on the earlier part of the training span, so that later jobs of it
say how many trees to grow, where to cap answers and how good each expert is; then, with all that
decided, on the whole span: what ended last is what is most like what comes next.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.experts import SCOPES, losses_of, replay_losses
from rt_predictor.history.key_ids import USER_KEY, key_ids
from rt_predictor.settings import TrainingSettings
from rt_predictor.training.boosters import FittedBooster, Progress
from rt_predictor.training.combine import EXPERTS, Combination, choose_cap, reference_s
from rt_predictor.training.members import (
    MEMBERS,
    Examples,
    answers_s,
    fit_members,
    raw_answers,
    refit_members,
)
from rt_predictor.training.prepare import Encoded, Encoder, PreparedLog, fit_encoder

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ensemble:
    """Everything that was learned from the training span of a log."""

    encoder: Encoder
    boosters: tuple[FittedBooster, ...]
    """[m] in the order of `MEMBERS`"""
    combination: Combination

    def experts_s(self, encoded: Encoded) -> Array:
        """[n, len(EXPERTS)] what each expert says of n jobs, by the native libraries."""
        return _experts_s(self.boosters, self.combination, encoded)

    def importance(self, weights: Array) -> Array:
        """[features] share in the gain of all splits; each member's counts by its weight."""
        of_members = weights[: len(MEMBERS)] / weights[: len(MEMBERS)].sum()
        gains = [booster.importance for booster in self.boosters]
        return np.asarray(of_members @ np.array(gains))


@dataclass(frozen=True)
class Trial:
    """An ensemble of the earlier part of the training span, tried on the later one."""

    encoder: Encoder
    fitted_on: pl.DataFrame
    """Jobs that its members were fitted on"""
    jobs: pl.DataFrame
    """[n] the calibration jobs, by submit time"""
    encoded: Encoded
    """The same in numbers"""
    predicted_s: Array
    """[n] what it said of them"""


def nothing_known(count: int) -> NDArray[np.float32]:
    """Sums of losses before any job has ended: [n, SCOPES, len(EXPERTS) + 1]."""
    return np.zeros((count, SCOPES, len(EXPERTS) + 1), dtype=np.float32)


def replayed_sums(jobs: pl.DataFrame, experts_s: Array) -> NDArray[np.float32]:
    """What was known of the experts' losses at each submit, if these jobs are all there are.

    Args:
        jobs: [n] `JOB_SCHEMA`, by submit time.
        experts_s: [n, len(EXPERTS)] what the experts said of them.
    """
    runtime_s = jobs["runtime"].to_numpy().astype(np.float32)
    return replay_losses(
        key_ids(jobs)[:, USER_KEY],
        jobs["submit_time"].to_numpy(),
        jobs["end_time"].to_numpy(),
        losses_of(experts_s.astype(np.float32), runtime_s),
    )


def fit_ensemble(
    log: PreparedLog, settings: TrainingSettings, progress: Progress
) -> tuple[Ensemble, Trial]:
    """Learns from the training span of a log; nothing of its test span is looked at.

    Returns the ensemble of the whole span, and the trial that decided how it is made.
    """
    split = log.split
    learned = split.training()
    typical_s = float(np.median(split.fit["runtime"].to_numpy()))
    encoder = fit_encoder(split.fit, settings)

    def examples(encoded: Encoded, jobs: pl.DataFrame) -> Examples:
        reference = reference_s(encoded.recent, encoded.time_req_s, typical_s)
        return Examples(encoded.features, reference, jobs["runtime"].to_numpy())

    fit, stop = latest_jobs(split.fit, settings), split.stop
    chosen = fit_members(
        examples(encoder.encode(log, fit), fit),
        examples(encoder.encode(log, stop), stop),
        settings,
        progress,
    )
    held_back = split.calibrate.sort("submit_time", maintain_order=True)
    encoded = encoder.encode(log, held_back)
    combination, predicted = _combined(chosen, encoded, held_back, learned, typical_s)
    trial = Trial(encoder, fit, held_back, encoded, predicted)
    encoder = fit_encoder(learned, settings)
    latest = latest_jobs(learned, settings)
    boosters = refit_members(
        chosen, examples(encoder.encode(log, latest), latest), settings, progress
    )
    return Ensemble(encoder, boosters, combination), trial


def _combined(
    boosters: tuple[FittedBooster, ...],
    encoded: Encoded,
    jobs: pl.DataFrame,
    learned: pl.DataFrame,
    typical_s: float,
) -> tuple[Combination, Array]:
    """How experts are combined, decided on jobs that they have not seen; and their answers."""
    runtime_s = jobs["runtime"].to_numpy()
    members = _members_s(boosters, encoded, typical_s)
    combination = Combination(
        limit_cap=choose_cap(members, encoded.time_req_s, runtime_s),
        max_runtime_s=float(np.max(learned["runtime"].to_numpy())),
        typical_runtime_s=typical_s,
        prior_losses=((1.0,) * len(EXPERTS),) * SCOPES,
    )
    experts = combination.experts_s(members, encoded.recent, encoded.time_req_s)
    losses = losses_of(experts.astype(np.float32), runtime_s.astype(np.float32))
    prior = losses.mean(axis=0, dtype=np.float64)
    combination = replace(combination, prior_losses=tuple(map(tuple, prior.tolist())))
    return combination, combination.answer_s(experts, replayed_sums(jobs, experts))


def _experts_s(
    boosters: tuple[FittedBooster, ...], combination: Combination, encoded: Encoded
) -> Array:
    members = _members_s(boosters, encoded, combination.typical_runtime_s)
    return combination.experts_s(members, encoded.recent, encoded.time_req_s)


def _members_s(
    boosters: tuple[FittedBooster, ...], encoded: Encoded, typical_runtime_s: float
) -> Array:
    reference = reference_s(encoded.recent, encoded.time_req_s, typical_runtime_s)
    return answers_s(raw_answers(boosters, encoded.features), reference)


def latest_jobs(jobs: pl.DataFrame, settings: TrainingSettings) -> pl.DataFrame:
    """The jobs that ended last, if there are more than trees are to be fitted on."""
    if len(jobs) <= settings.max_jobs:
        return jobs
    return jobs.sort("end_time", maintain_order=True).tail(settings.max_jobs)
