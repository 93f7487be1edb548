"""The evaluation: the ensemble, its members and the baselines on the same replayed jobs."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import polars as pl

from rt_predictor.jobs.schema import numbers
from rt_predictor.training.baselines import baselines
from rt_predictor.training.buckets import (
    BlockMetrics,
    BucketMetrics,
    block_metrics,
    bucket_metrics,
    kinds_of_jobs,
)
from rt_predictor.training.metrics import (
    Array,
    IntervalMetrics,
    Intervals,
    PointMetrics,
    interval_metrics,
    per_user_mae,
    point_metrics,
)
from rt_predictor.training.reliability import TimeoutMetrics, timeout_metrics
from rt_predictor.training.replayed import Replayed

ENSEMBLE = "ensemble"
REQUEST_ONLY = "request_only"


@dataclass(frozen=True)
class Evaluation:
    """The figures of one log, as in the tables."""

    trace: str
    retrain_every_days: float | None
    """Days of the log after which the model was made anew; None if it never was."""
    jobs_train: int
    jobs_test: int
    models: Mapping[str, PointMetrics]
    """The ensemble, and each member on its own."""
    baselines: Mapping[str, PointMetrics]
    """Those that need no model, and the ensemble without users and history."""
    interval: IntervalMetrics
    """Of the default level."""
    intervals: tuple[IntervalMetrics, ...]
    """Of each level, ascending."""
    timeouts: TimeoutMetrics | None
    """None where no job has a limit."""
    users: int
    """Users who have jobs in the test span."""
    user_mae: Mapping[str, float]
    """Mean of per-user mean absolute errors of each model and baseline, s; NaN without users."""
    blocks: tuple[BlockMetrics, ...]
    """Ten consecutive parts of the replay."""
    buckets: Mapping[str, tuple[BucketMetrics, ...]]
    """By runtime, size, partition, history and user."""
    importance: Mapping[str, float]
    """Share of each feature in the gain of all splits, greatest first."""

    def to_json(self) -> dict[str, object]:
        """As plain dicts, lists and numbers; None for what is not a number."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def evaluate(trace: str, log: pl.DataFrame, replayed: Replayed, level: float) -> Evaluation:
    """Measures everything on the replayed jobs.

    Args:
        trace: name of the log.
        log: all of its jobs, as `split.scorable` gives them: what the baselines know.
        replayed: the answers and the outcomes.
        level: the default level, one of `replayed.levels`.

    Raises ValueError where it is none of them.
    """
    if level not in replayed.levels:
        known = ", ".join(f"{other:g}" for other in replayed.levels)
        raise ValueError(f"{level:g} is none of the levels that were replayed: {known}")
    chosen = replayed.levels.index(level)
    jobs = replayed.jobs
    runtime = jobs["runtime"].to_numpy()
    models = {ENSEMBLE: replayed.predicted_s, **replayed.members}
    others = baselines(log, jobs)
    if replayed.request_only_s is not None:
        others[REQUEST_ONLY] = replayed.request_only_s
    answers = {**models, **others}
    by_level = intervals_by_level(replayed)
    figures = tuple(
        interval_metrics(answered, constant, runtime, replayed.user_runs)
        for answered, constant in zip(by_level, _constant_width(replayed), strict=True)
    )
    ranked = sorted(replayed.importance.items(), key=lambda item: item[1], reverse=True)
    return Evaluation(
        trace=trace,
        retrain_every_days=replayed.retrain_every_days,
        jobs_train=replayed.jobs_train,
        jobs_test=len(jobs),
        models={name: point_metrics(says, runtime) for name, says in models.items()},
        baselines={name: point_metrics(says, runtime) for name, says in others.items()},
        interval=figures[chosen],
        intervals=figures,
        timeouts=timeout_metrics(
            replayed.timeout_probability,
            replayed.timeout_base_rate,
            numbers(jobs, "time_req"),
            runtime,
        ),
        users=jobs["user"].drop_nulls().n_unique(),
        user_mae={
            name: per_user_mae(says, runtime, jobs["user"]) for name, says in answers.items()
        },
        blocks=block_metrics(jobs["submit_time"].to_numpy(), answers, by_level, runtime),
        buckets={
            kind: bucket_metrics(buckets, answers, by_level[chosen], runtime)
            for kind, buckets in kinds_of_jobs(replayed).items()
        },
        importance=dict(ranked),
    )


def intervals_by_level(replayed: Replayed) -> tuple[Intervals, ...]:
    """What was answered, one value a level."""
    return _by_level(replayed.levels, replayed.lower_s, replayed.upper_s)


def _constant_width(replayed: Replayed) -> tuple[Intervals, ...]:
    return _by_level(replayed.levels, replayed.constant_lower_s, replayed.constant_upper_s)


def _by_level(levels: tuple[float, ...], lower_s: Array, upper_s: Array) -> tuple[Intervals, ...]:
    return tuple(
        Intervals(level, lower_s[:, place], upper_s[:, place]) for place, level in enumerate(levels)
    )


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return {key: _plain(inner) for key, inner in value.items()}
        case tuple() | list():
            return [_plain(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
