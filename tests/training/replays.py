"""A made-up replay, with everything that a trained model would give, for tests of what shows it."""

import numpy as np
import polars as pl

from rt_predictor.history.replay import LogHistory
from rt_predictor.jobs.schema import numbers
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.baselines import user_runs
from rt_predictor.training.replayed import Replayed
from rt_predictor.training.split import scorable

LEVELS = (0.5, 0.9, 0.95)
_SPREADS = (0.4, 1.1, 1.5)
_MARK = 0.7


def a_log(jobs: int = 1000, seed: int = 5) -> pl.DataFrame:
    """A log as `evaluate` wants it; some jobs have no limit, no user or no partition."""
    log = generate_jobs(jobs, seed=seed)
    every = pl.int_range(pl.len())
    return scorable(
        log.with_columns(
            time_req=pl.when(every % 17 != 0).then("time_req"),
            user=pl.when(every % 13 != 0).then("user"),
            partition=pl.when(every % 11 != 0).then("partition"),
        )
    )


def a_replay(log: pl.DataFrame, seed: int = 1) -> Replayed:
    """Answers that are right but for a lognormal error."""
    rng = np.random.default_rng(seed)
    mark = int(_MARK * len(log))
    jobs = log[mark:]
    runtime = jobs["runtime"].to_numpy()
    predicted = runtime * np.exp(rng.normal(0, 0.6, len(jobs)))
    ratios = np.exp(np.array(_SPREADS))
    limits = numbers(jobs, "time_req")
    chance = np.where(np.isnan(limits), np.nan, rng.beta(1, 12, len(jobs)))
    return Replayed(
        jobs=jobs,
        jobs_train=mark,
        predicted_s=predicted,
        members={"xgboost": predicted * 1.1, "lightgbm": predicted * 0.9, "catboost": predicted},
        levels=LEVELS,
        lower_s=predicted[:, None] / ratios,
        upper_s=predicted[:, None] * ratios,
        constant_lower_s=predicted[:, None] / ratios**1.5,
        constant_upper_s=predicted[:, None] * ratios**1.5,
        timeout_probability=chance,
        timeout_base_rate=0.1,
        request_only_s=predicted * 2,
        user_runs=user_runs(LogHistory(log).features(jobs)),
        importance={f"feature_{n}": 2.0**-n for n in range(1, 40)},
    )
