"""The evaluation: answers, their members and the baselines on the same replayed jobs."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from rt_predictor.history.columns import COLUMN
from rt_predictor.history.token_keys import NO_KEY, USER
from rt_predictor.jobs.schema import numbers
from rt_predictor.training.baselines import baselines
from rt_predictor.training.beside import Beside
from rt_predictor.training.buckets import (
    BlockMetrics,
    BucketMetrics,
    block_metrics,
    bucket_metrics,
    kinds_of_jobs,
)
from rt_predictor.training.metrics import (
    Array,
    Intervals,
    PointMetrics,
    per_user_mae,
    point_metrics,
)
from rt_predictor.training.prepare import PreparedLog
from rt_predictor.training.regular_jobs import (
    RegularJobs,
    RegularScores,
    Series,
    empirical_ends_s,
    regular_jobs,
    regular_scores,
)
from rt_predictor.training.reliability import TimeoutMetrics, timeout_metrics
from rt_predictor.training.replayed import CONFIDENCES, Replayed
from rt_predictor.training.scores import IntervalScores, falling_share, interval_scores, share
from rt_predictor.training.usefulness import Ran, Usefulness, usefulness

ENSEMBLE = "ensemble"
"""Name of the served prediction in tables, beside its members."""

REQUEST_ONLY = "request_only"

REGULAR_LEVELS = (0.5, 0.75, 0.9)
"""Levels at which regular jobs are judged."""

_ROUNDING = 1e-9


@dataclass(frozen=True)
class DistributionMetrics:
    """Scores of whole distributions; lower is better."""

    crps_s: float
    """Mean continuous ranked probability score, s (Matheson, Winkler 1976); of a point it is its
    absolute error."""
    crps_sqrt_s: float
    """The same of the square roots of runtimes, which weighs short jobs more; √s."""


@dataclass(frozen=True)
class AskedAgainMetrics:
    """Figures of answers to the same jobs with other limits."""

    jobs: int
    falling: float
    """Share of steps to a limit a quarter longer at which the prediction falls."""
    recommended_holds: Mapping[str, float]
    """Confidence -> share of jobs that, asked again with the limit recommended at it, get a
    chance of a timeout that this confidence allows; NaN where none was recommended."""
    recommended: Mapping[str, float]
    """Confidence -> share of jobs that a limit is recommended to: all but those whose own is not
    enough."""


@dataclass(frozen=True)
class Evaluation:
    """The figures of one log, as in the tables."""

    trace: str
    kind: str
    """Kind of the model that answered."""
    model_version: str
    retrain_every_days: float | None
    """Days of the log after which the model was tuned anew; None if it never was."""
    jobs_train: int
    jobs_test: int
    models: Mapping[str, PointMetrics]
    """The served prediction, and each member on its own."""
    baselines: Mapping[str, PointMetrics]
    """Rules that need no model, and the model without users and history."""
    distribution: DistributionMetrics
    interval: IntervalScores
    """Of the default level."""
    intervals: tuple[IntervalScores, ...]
    """Of each level, ascending."""
    regular: tuple[RegularScores, ...]
    """Intervals of jobs of users who run the same again and again, by level."""
    timeouts: TimeoutMetrics | None
    """None where no job has a limit."""
    usefulness: Mapping[str, Usefulness]
    """Confidence -> effect of following the recommended limits; empty without limits."""
    asked_again: AskedAgainMetrics | None
    """None where no job has a limit."""
    beside: Beside | None
    """The same jobs as answered by edition 1.0; None where its answers were not given."""
    users: int
    """Users who have jobs in the test span."""
    user_mae: Mapping[str, float]
    """Mean of per-user mean absolute errors of each model and baseline, s; NaN without users."""
    blocks: tuple[BlockMetrics, ...]
    """Ten consecutive parts of the replay."""
    buckets: Mapping[str, tuple[BucketMetrics, ...]]
    """By runtime, size, partition, history and user."""

    def to_json(self) -> dict[str, object]:
        """Return it as plain dicts, lists and numbers; None for NaN and infinity."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def evaluate(
    log: PreparedLog, replayed: Replayed, level: float, beside: Beside | None = None
) -> Evaluation:
    """Return all figures of the replayed jobs.

    Args:
        log: with all of its jobs, which the baselines know.
        replayed: the answers and the outcomes.
        level: the default level, one of `replayed.levels`.
        beside: the figures of another edition's answers.

    Raises ValueError where `level` is not one of the replayed levels.
    """
    if level not in replayed.levels:
        known = ", ".join(f"{other:g}" for other in replayed.levels)
        raise ValueError(f"{level:g} is none of the levels that were replayed: {known}")
    chosen = replayed.levels.index(level)
    jobs = replayed.jobs
    runtime, limit = jobs["runtime"].to_numpy(), numbers(jobs, "time_req")
    models = {ENSEMBLE: replayed.predicted_s, **replayed.members}
    others = baselines(log.jobs[log.rows], jobs)
    if replayed.request_only_s is not None:
        others[REQUEST_ONLY] = replayed.request_only_s
    answers = {**models, **others}
    by_level = intervals_by_level(replayed)
    figures = tuple(_interval_scores(replayed, column) for column in range(len(by_level)))
    return Evaluation(
        trace=log.name,
        kind=replayed.kind,
        model_version=replayed.model_version,
        retrain_every_days=replayed.retrain_every_days,
        jobs_train=replayed.jobs_train,
        jobs_test=len(jobs),
        models={name: point_metrics(answer, runtime) for name, answer in models.items()},
        baselines={name: point_metrics(answer, runtime) for name, answer in others.items()},
        distribution=DistributionMetrics(
            float(replayed.crps_s.mean()), float(replayed.crps_sqrt_s.mean())
        ),
        interval=figures[chosen],
        intervals=figures,
        regular=_regular_scores(log, replayed),
        timeouts=timeout_metrics(
            replayed.timeout_probability, replayed.timeout_base_rate, limit, runtime
        ),
        usefulness=_usefulness(replayed),
        asked_again=_asked_again(replayed),
        beside=beside,
        users=jobs["user"].drop_nulls().n_unique(),
        user_mae={
            name: per_user_mae(answer, runtime, jobs["user"]) for name, answer in answers.items()
        },
        blocks=block_metrics(jobs["submit_time"].to_numpy(), answers, by_level, runtime),
        buckets={
            kind: bucket_metrics(buckets, answers, by_level[chosen], runtime)
            for kind, buckets in kinds_of_jobs(replayed).items()
        },
    )


def intervals_by_level(replayed: Replayed) -> tuple[Intervals, ...]:
    """Return the served intervals, one value a level."""
    return tuple(
        Intervals(level, replayed.lower_s[:, column], replayed.upper_s[:, column])
        for column, level in enumerate(replayed.levels)
    )


def _interval_scores(replayed: Replayed, column: int) -> IntervalScores:
    return interval_scores(
        (replayed.lower_s[:, column], replayed.upper_s[:, column]),
        (replayed.constant_lower_s[:, column], replayed.constant_upper_s[:, column]),
        replayed.jobs["runtime"].to_numpy(),
        replayed.user_runs,
        replayed.levels[column],
    )


def series_of(log: PreparedLog) -> Series:
    """Return the jobs of a log grouped by user and request; unknown users are in no group."""
    users = log.columns.keys[:, USER]
    requests = log.columns.columns[:, COLUMN["request_id"]].astype(np.uint64)
    groups = np.unique(np.stack([users, requests]), axis=1, return_inverse=True)[1].ravel()
    return Series(
        group=np.where(users == np.uint64(NO_KEY), -1, groups),
        submit_s=log.submit_s,
        end_s=log.end_s,
        runtime_s=np.nan_to_num(log.runtime_s),
        limit_s=log.limit_s,
    )


def _regular_scores(log: PreparedLog, replayed: Replayed) -> tuple[RegularScores, ...]:
    series = series_of(log)
    regular = regular_jobs(series)
    empirical = empirical_ends_s(series, regular, REGULAR_LEVELS)
    answer_of = np.full(len(log), -1)
    answer_of[replayed.rows] = np.arange(len(replayed.rows))
    answers = answer_of[regular.rows]
    tested = answers >= 0
    return tuple(
        regular_scores(
            RegularJobs(regular.rows[tested], regular.median_s[tested]),
            _ends(replayed, level, answers[tested]),
            (empirical[0][tested, column], empirical[1][tested, column]),
            log.runtime_s[regular.rows[tested]],
            level,
        )
        for column, level in enumerate(REGULAR_LEVELS)
    )


def _ends(replayed: Replayed, level: float, answers: Array) -> tuple[Array, Array]:
    column = replayed.levels.index(level)
    return replayed.lower_s[answers, column], replayed.upper_s[answers, column]


def ran_jobs(replayed: Replayed) -> Ran:
    """Return the replayed jobs as `usefulness` takes them; unknown cores count as one."""
    jobs = replayed.jobs
    cores = np.nan_to_num(numbers(jobs, "processors_req"), nan=1.0)
    return Ran(numbers(jobs, "time_req"), jobs["runtime"].to_numpy(), cores)


def _usefulness(replayed: Replayed) -> dict[str, Usefulness]:
    ran = ran_jobs(replayed)
    by_confidence = {f"{c:g}": usefulness(replayed.recommended_at(c), ran) for c in CONFIDENCES}
    return {
        confidence: figures for confidence, figures in by_confidence.items() if figures is not None
    }


def _asked_again(replayed: Replayed) -> AskedAgainMetrics | None:
    again = replayed.asked_again
    if not len(again.predicted_s):
        return None
    by_confidence = zip(CONFIDENCES, again.timeout_probability.T, strict=True)
    by_name = [(f"{confidence:g}", confidence, chances) for confidence, chances in by_confidence]
    return AskedAgainMetrics(
        jobs=len(again.predicted_s),
        falling=falling_share(again.predicted_s),
        recommended_holds={
            name: share(chances[~np.isnan(chances)] <= 1 - confidence + _ROUNDING)
            for name, confidence, chances in by_name
        },
        recommended={name: share(~np.isnan(chances)) for name, _, chances in by_name},
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
