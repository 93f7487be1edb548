"""A made-up replay, with everything that a model would give, for tests of what shows it."""

import numpy as np
import polars as pl

from rt_predictor.jobs.schema import numbers
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.baselines import user_runs
from rt_predictor.training.prepare import PreparedLog, prepare_log
from rt_predictor.training.replayed import LEVELS, TRIED_CONFIDENCES, AskedAgain, Replayed

_SPREADS = (0.4, 0.8, 1.1, 1.5)
_MARK = 0.7


def a_frame(jobs: int = 1000, seed: int = 5) -> pl.DataFrame:
    """A log of which some jobs have no limit, no user or no partition."""
    log = generate_jobs(jobs, seed=seed)
    every = pl.int_range(pl.len())
    return log.with_columns(
        time_req=pl.when(every % 17 != 0).then("time_req"),
        user=pl.when(every % 13 != 0).then("user"),
        partition=pl.when(every % 11 != 0).then("partition"),
    )


def a_log(jobs: int = 1000, seed: int = 5) -> PreparedLog:
    """Return the same log, prepared for `evaluate`."""
    return prepare_log(a_frame(jobs, seed), "made-up.csv")


def a_replay(log: PreparedLog, seed: int = 1) -> Replayed:
    """Answers that are right but for a lognormal error."""
    rng = np.random.default_rng(seed)
    mark = int(_MARK * len(log.rows))
    rows = log.rows[mark:]
    jobs = log.jobs[rows]
    runtime = jobs["runtime"].to_numpy()
    predicted = runtime * np.exp(rng.normal(0, 0.6, len(jobs)))
    ratios = np.exp(np.array(_SPREADS))
    limits = numbers(jobs, "time_req")
    limited = np.flatnonzero(~np.isnan(limits))[:50]
    chance = np.where(np.isnan(limits), np.nan, rng.beta(1, 12, len(jobs)))
    factors = np.linspace(1, 4, len(TRIED_CONFIDENCES))
    return Replayed(
        jobs=jobs,
        rows=rows,
        kind="fine-tuned",
        model_version="2030.01.01-abc",
        jobs_train=mark,
        predicted_s=predicted,
        members={"xgboost": predicted * 1.1, "lightgbm": predicted * 0.9, "catboost": predicted},
        levels=LEVELS,
        lower_s=predicted[:, None] / ratios,
        upper_s=predicted[:, None] * ratios,
        constant_lower_s=predicted[:, None] / ratios**1.5,
        constant_upper_s=predicted[:, None] * ratios**1.5,
        crps_s=np.abs(predicted - runtime) * 0.7,
        crps_sqrt_s=np.abs(predicted**0.5 - runtime**0.5) * 0.7,
        timeout_probability=chance,
        timeout_base_rate=0.1,
        recommended_s=predicted[:, None] * factors,
        user_runs=user_runs(log.jobs[log.rows], jobs),
        asked_again=AskedAgain(
            predicted[limited, None] * [1.0, 1.1, 1.05],
            np.where(np.arange(len(limited)) < 40, 0.04, 0.2)[:, None] * [1.0, 1.0],
        ),
        request_only_s=predicted * 2,
    )
