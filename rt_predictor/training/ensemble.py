"""The ensemble, before it is a graph: members, how they are combined, and how sure they are.

Members are fitted twice. First on the earlier part of the training span, so that later jobs of it
say how many trees to grow, where to cap answers, how good each expert is and how wide intervals
must be; then, with all that decided, on the whole span: what ended last is what is most like what
comes next.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.features.jobs import numbers
from rt_predictor.history.experts import SCOPES, losses_of, replay_losses
from rt_predictor.history.key_ids import USER_KEY, key_ids
from rt_predictor.model.documents import CalibrationDocument
from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.training.boosters import FittedBooster, Progress
from rt_predictor.training.calibrate import constant_width, fit_calibration, fit_limit_overrun
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
    calibration: CalibrationDocument
    constant_width: float
    """See `calibrate.constant_width`."""

    def experts_s(self, encoded: Encoded) -> Array:
        """[n, len(EXPERTS)] what each expert says of n jobs, by the native libraries."""
        return _experts_s(self.boosters, self.combination, encoded)

    def importance(self, weights: Array) -> Array:
        """[features] share in the gain of all splits; each member's counts by its weight."""
        of_members = weights[: len(MEMBERS)] / weights[: len(MEMBERS)].sum()
        gains = [booster.importance for booster in self.boosters]
        return np.asarray(of_members @ np.array(gains))


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


def fit_ensemble(log: PreparedLog, settings: Settings, progress: Progress) -> Ensemble:
    """Learns from the training span of a log; nothing of its test span is looked at."""
    split, training = log.split, settings.training
    learned = split.training()
    typical_s = float(np.median(split.fit["runtime"].to_numpy()))
    encoder = fit_encoder(split.fit, training)

    def examples(encoded: Encoded, jobs: pl.DataFrame) -> Examples:
        reference = reference_s(encoded.recent, encoded.time_req_s, typical_s)
        return Examples(encoded.features, reference, jobs["runtime"].to_numpy())

    fit, stop = _latest(split.fit, training), split.stop
    chosen = fit_members(
        examples(encoder.encode(log, fit), fit),
        examples(encoder.encode(log, stop), stop),
        training,
        progress,
    )
    held_back = split.calibrate.sort("submit_time", maintain_order=True)
    combination, predicted = _combined(
        chosen, encoder.encode(log, held_back), held_back, learned, typical_s
    )
    runtime_s, limits = held_back["runtime"].to_numpy(), numbers(held_back, "time_req")
    level = settings.prediction.confidence_level
    overrun = fit_limit_overrun(runtime_s, limits)
    encoder = fit_encoder(learned, training)
    latest = _latest(learned, training)
    return Ensemble(
        encoder=encoder,
        boosters=refit_members(
            chosen, examples(encoder.encode(log, latest), latest), training, progress
        ),
        combination=combination,
        calibration=fit_calibration(predicted, runtime_s, level, overrun),
        constant_width=constant_width(predicted, runtime_s, level),
    )


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


def _latest(jobs: pl.DataFrame, settings: TrainingSettings) -> pl.DataFrame:
    """The jobs that ended last, if there are more than trees are to be fitted on."""
    if len(jobs) <= settings.max_jobs:
        return jobs
    return jobs.sort("end_time", maintain_order=True).tail(settings.max_jobs)
