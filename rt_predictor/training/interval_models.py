"""What makes an ensemble's intervals and its chance of a timeout, learned beside its members.

As the members are: first on the earlier part of the training span, so that later jobs of it say how
far off the quantiles are, then on the whole span.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.history.offsets import Scored
from rt_predictor.history.replay import user_runs
from rt_predictor.jobs.schema import numbers
from rt_predictor.model.bounds import (
    LEVELS,
    QUANTILES,
    history_group,
    interval_s,
    limit_ceiling_s,
    quantile_scale_s,
    tail_scores,
    to_cube_root,
    told_scores,
)
from rt_predictor.model.documents import CalibrationDocument
from rt_predictor.settings import Settings, TrainingSettings
from rt_predictor.training.boosters import FittedBooster, Progress, Samples
from rt_predictor.training.calibrate import constant_width, fit_limit_overrun
from rt_predictor.training.ensemble import Ensemble, Trial, latest_jobs
from rt_predictor.training.prepare import Encoded, Encoder, PreparedLog
from rt_predictor.training.quantiles import fit_offsets, fit_quantiles, fit_timeouts
from rt_predictor.training.scores import share

Array = NDArray[np.float64]

METHOD = "online_conformal_quantiles"


@dataclass(frozen=True)
class IntervalModels:
    """Everything that intervals and timeouts need beside the ensemble."""

    quantiles: FittedBooster
    timeouts: FittedBooster | None
    """None where none or all of the training jobs with a limit reached it"""
    calibration: CalibrationDocument
    constant_widths: tuple[float, ...]
    """[len(LEVELS)] see `calibrate.constant_width`"""

    @property
    def timeout_log_odds(self) -> float | None:
        """What is said of every job where there is no model of timeouts."""
        if self.timeouts is not None:
            return None
        rate = self.calibration.timeout_base_rate or 0.0
        rate = min(max(rate, _LEAST_CHANCE), 1 - _LEAST_CHANCE)
        return float(np.log(rate / (1 - rate)))

    def timeout_chance(self, encoded: Encoded) -> Array:
        """[n] chance to reach the limit, by the native library; NaN without one."""
        if self.timeouts is not None:
            log_odds = self.timeouts.predict(encoded.features)
        else:
            log_odds = np.full(len(encoded.features), self.timeout_log_odds)
        return np.where(np.isnan(encoded.time_req_s), np.nan, 1 / (1 + np.exp(-log_odds)))

    def intervals_s(
        self, encoded: Encoded, offsets: NDArray[np.float32], point_s: Array
    ) -> tuple[Array, Array]:
        """Both ends of every level, by the native library: as `bounds.interval_s`."""
        limits, calibration = encoded.time_req_s, self.calibration
        return interval_s(
            self.quantiles.predict(encoded.features),
            offsets.astype(np.float64),
            quantile_scale_s(limits, calibration.typical_runtime_s),
            point_s,
            limit_ceiling_s(limits, calibration.limit_overrun),
        )


_LEAST_CHANCE = 1e-4
"""Nothing is said to be certain because it was not seen."""


def fit_interval_models(
    log: PreparedLog, ensemble: Ensemble, trial: Trial, settings: Settings, progress: Progress
) -> IntervalModels:
    """Learns from the training span of a log; nothing of its test span is looked at.

    Args:
        log: the log.
        ensemble: fitted on the whole training span.
        trial: what the ensemble of before said of the calibration jobs.
        settings: `[training]` and `prediction.confidence_level`.
        progress: called with a step's name and the share of it that is done.
    """
    training, typical_s = settings.training, ensemble.combination.typical_runtime_s
    learned = log.split.training()
    report = partial(progress, "quantiles")
    report(0.0)
    earlier = _fit(log, trial.encoder, trial.fitted_on, typical_s, training)
    report(0.5)
    jobs, encoded = trial.jobs, trial.encoded
    runtime_s = jobs["runtime"].to_numpy()
    scale_s = quantile_scale_s(encoded.time_req_s, typical_s)
    quantiles = earlier.predict(encoded.features).astype(np.float64)
    scores = tail_scores(quantiles, to_cube_root(runtime_s, scale_s))
    overrun = fit_limit_overrun(runtime_s, encoded.time_req_s)
    ceiling_s = limit_ceiling_s(encoded.time_req_s, overrun)
    start = fit_offsets(
        Scored(
            history_group(user_runs(log.known(jobs))),
            jobs["submit_time"].to_numpy(),
            jobs["end_time"].to_numpy(),
            scores,
            np.ones(len(jobs)),
        ),
        told_scores(scores, runtime_s, trial.predicted_s, ceiling_s),
    )
    latest = latest_jobs(learned, training)
    model = _fit(log, ensemble.encoder, latest, typical_s, training)
    report(1.0)
    limits = numbers(learned, "time_req")
    reached = (learned["runtime"].to_numpy() >= limits)[~np.isnan(limits)]
    return IntervalModels(
        quantiles=model,
        timeouts=_fit_timeouts(log, ensemble.encoder, latest, training),
        calibration=CalibrationDocument(
            method=METHOD,
            level=settings.prediction.confidence_level,
            levels=LEVELS,
            quantiles=QUANTILES,
            jobs=len(jobs),
            limit_overrun=overrun,
            typical_runtime_s=typical_s,
            offsets=tuple(map(tuple, start.table().tolist())),
            timeout_base_rate=share(reached) if len(reached) else None,
        ),
        constant_widths=tuple(
            constant_width(trial.predicted_s, runtime_s, level) for level in LEVELS
        ),
    )


def _fit(
    log: PreparedLog,
    encoder: Encoder,
    jobs: pl.DataFrame,
    typical_s: float,
    settings: TrainingSettings,
) -> FittedBooster:
    encoded = encoder.encode(log, jobs)
    scale = quantile_scale_s(encoded.time_req_s, typical_s)
    relative = to_cube_root(jobs["runtime"].to_numpy(), scale)
    return fit_quantiles(Samples(encoded.features, relative), settings)


def _fit_timeouts(
    log: PreparedLog, encoder: Encoder, jobs: pl.DataFrame, settings: TrainingSettings
) -> FittedBooster | None:
    limited = jobs.filter(pl.col("time_req").is_not_null())
    reached = (limited["runtime"] >= limited["time_req"]).to_numpy().astype(np.float64)
    if len(np.unique(reached)) < 2:
        return None
    features = encoder.encode(log, limited).features
    return fit_timeouts(Samples(features, reached), settings)
