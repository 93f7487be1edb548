"""Kinds of jobs, to see where predictions are good and where they are not."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.jobs.schema import numbers
from rt_predictor.online.groups import HISTORY_LABELS, history_groups
from rt_predictor.training.metrics import Array, Intervals, point_metrics
from rt_predictor.training.replayed import Replayed
from rt_predictor.training.scores import BLOCKS, share

NAMED = 10
"""Partitions, and users, that have a bucket of their own; those with most jobs."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400
_RUNTIME_EDGES_S = (_MINUTE_S, 600, _HOUR_S, 4 * _HOUR_S, 12 * _HOUR_S, _DAY_S)
_RUNTIME_LABELS = (
    *("under 1 min", "1 to 10 min", "10 min to 1 h", "1 to 4 h", "4 to 12 h", "12 to 24 h"),
    "1 day and more",
)
_SIZE_EDGES = (2, 9, 33, 129, 513)
_SIZE_LABELS = ("1", "2 to 8", "9 to 32", "33 to 128", "129 to 512", "513 and more")
_UNKNOWN = "not said"
_OTHERS = "all others"


@dataclass(frozen=True)
class Buckets:
    """Kinds of n jobs by one property."""

    labels: tuple[str, ...]
    indices: NDArray[np.int64]
    """[n] index of the label of each job."""


@dataclass(frozen=True)
class BucketMetrics:
    """Figures of one kind of jobs."""

    label: str
    jobs: int
    mae: Mapping[str, float]
    """Mean absolute error of the ensemble and of all others it is compared with, s."""
    median_ae: float
    """Median absolute error of the ensemble, s."""
    accuracy: float
    """Accuracy of the ensemble."""
    coverage: float
    """Share of jobs that the intervals of the default level hold."""
    mean_width: float
    """Mean width of those, s."""


@dataclass(frozen=True)
class BlockMetrics:
    """Figures of one of ten consecutive blocks of equally many jobs."""

    first_submit: float
    """Unix s"""
    last_submit: float
    """Unix s"""
    jobs: int
    mae: Mapping[str, float]
    """Mean absolute error of the ensemble and of all others it is compared with, s."""
    coverage: tuple[float, ...]
    """By level of the intervals."""


def kinds_of_jobs(replayed: Replayed) -> dict[str, Buckets]:
    """Return the kinds of jobs by runtime, size, partition, history and user.

    Users are numbered, most jobs first; their names do not appear.
    """
    jobs = replayed.jobs
    users = _by_name(jobs["user"])
    ranks = range(1, len(users.labels) - 1)
    numbered = (*(f"user {rank}" for rank in ranks), _OTHERS, _UNKNOWN)
    return {
        "runtime": _by_edges(numbers(jobs, "runtime"), _RUNTIME_EDGES_S, _RUNTIME_LABELS),
        "size": _by_edges(numbers(jobs, "processors_req"), _SIZE_EDGES, _SIZE_LABELS),
        "partition": _by_name(jobs["partition"]),
        "history": Buckets(HISTORY_LABELS, history_groups(replayed.user_runs)),
        "user": Buckets(numbered, users.indices),
    }


def bucket_metrics(
    buckets: Buckets, answers: Mapping[str, Array], intervals: Intervals, runtime_s: Array
) -> tuple[BucketMetrics, ...]:
    """Return the figures of each kind that has jobs.

    Args:
        buckets: the kinds of the [n] jobs.
        answers: [n] predictions by name; "ensemble" is one of them.
        intervals: those of the default level.
        runtime_s: [n] what the jobs took.
    """
    metrics = []
    for number, label in enumerate(buckets.labels):
        inside = np.flatnonzero(buckets.indices == number)
        if len(inside):
            runtime = runtime_s[inside]
            ensemble = point_metrics(answers["ensemble"][inside], runtime)
            here = Intervals(intervals.level, intervals.lower_s[inside], intervals.upper_s[inside])
            metrics.append(
                BucketMetrics(
                    label=label,
                    jobs=len(inside),
                    mae=_mae(answers, inside, runtime_s),
                    median_ae=ensemble.median_ae,
                    accuracy=ensemble.accuracy,
                    coverage=share(here.hold(runtime)),
                    mean_width=here.mean_width_s(),
                )
            )
    return tuple(metrics)


def block_metrics(
    submit_s: Array,
    answers: Mapping[str, Array],
    intervals: tuple[Intervals, ...],
    runtime_s: Array,
) -> tuple[BlockMetrics, ...]:
    """Return figures over the replay: ten blocks, fewer where there are fewer jobs.

    Args:
        submit_s: [n] ascending.
        answers: [n] predictions by name.
        intervals: those of each level.
        runtime_s: [n] what the jobs took.
    """
    held = [level.hold(runtime_s) for level in intervals]
    return tuple(
        BlockMetrics(
            first_submit=float(submit_s[block[0]]),
            last_submit=float(submit_s[block[-1]]),
            jobs=len(block),
            mae=_mae(answers, block, runtime_s),
            coverage=tuple(share(holds[block]) for holds in held),
        )
        for block in np.array_split(np.arange(len(submit_s)), BLOCKS)
        if len(block)
    )


def _mae(
    answers: Mapping[str, Array], rows: NDArray[np.int64], runtime_s: Array
) -> dict[str, float]:
    return {
        name: float(np.abs(answer[rows] - runtime_s[rows]).mean())
        for name, answer in answers.items()
    }


def _by_edges(values: Array, edges: tuple[float, ...], labels: tuple[str, ...]) -> Buckets:
    """Return buckets whose label i is of edge i - 1 <= value < edge i; NaN is not said."""
    indices = np.searchsorted(np.array(edges), values, side="right")
    return Buckets(
        (*labels, _UNKNOWN), np.where(np.isnan(values), len(labels), indices).astype(np.int64)
    )


def _by_name(names: pl.Series) -> Buckets:
    """Return buckets of the names with most jobs, all others, and jobs without a name."""
    counts = (
        pl.DataFrame({"name": names})
        .drop_nulls()
        .group_by("name")
        .len()
        .sort("len", "name", descending=[True, False])
    )
    most = counts["name"].head(NAMED).to_list()
    index_of = {name: index for index, name in enumerate(most)} | {None: len(most) + 1}
    indices = [index_of.get(name, len(most)) for name in names.to_list()]
    return Buckets((*most, _OTHERS, _UNKNOWN), np.array(indices, dtype=np.int64))
