"""Kinds of jobs and parts of the replay."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from rt_predictor.training.buckets import (
    NAMED,
    BucketMetrics,
    block_metrics,
    bucket_metrics,
    kinds_of_jobs,
)
from rt_predictor.training.metrics import Intervals
from rt_predictor.training.replayed import Replayed


def labels(replayed: Replayed, kind: str, **columns: object) -> list[str]:
    """The label of each job, with columns of the first jobs set."""
    first = replayed.jobs.head(len(next(iter(columns.values()))))  # type: ignore[arg-type]
    jobs = first.with_columns(
        pl.Series(name, values, dtype=first.schema[name])  # type: ignore[arg-type]
        for name, values in columns.items()
    )
    buckets = kinds_of_jobs(_of_jobs(replayed, jobs))[kind]
    return [buckets.labels[index] for index in buckets.indices]


def _of_jobs(replayed: Replayed, jobs: pl.DataFrame) -> Replayed:
    n = len(jobs)
    columns = (
        *("rows", "predicted_s", "crps_s", "crps_sqrt_s", "timeout_probability"),
        *("recommended_s", "request_only_s", "user_runs"),
    )
    ends = ("lower_s", "upper_s", "constant_lower_s", "constant_upper_s")
    cut = {name: getattr(replayed, name)[:n] for name in (*columns, *ends)}
    return replace(replayed, jobs=jobs, members={}, **cut)


def test_an_edge_belongs_to_the_longer_side(replayed: Replayed) -> None:
    found = labels(replayed, "runtime", runtime=[59.9, 60.0, 86_399.0, 86_400.0])
    assert found == ["under 1 min", "1 to 10 min", "12 to 24 h", "1 day and more"]


def test_a_size_that_is_not_said_has_a_bucket(replayed: Replayed) -> None:
    found = labels(replayed, "size", processors_req=[1.0, 2.0, 8.0, 9.0, 4096.0, None])
    assert found == ["1", "2 to 8", "2 to 8", "9 to 32", "513 and more", "not said"]


def test_history_is_told_apart_by_how_much_there_is(replayed: Replayed) -> None:
    some = replace(replayed, user_runs=np.resize([0.0, 1, 4, 5, 19, 20, 400], len(replayed.jobs)))
    buckets = kinds_of_jobs(some)["history"]
    assert [buckets.labels[index] for index in buckets.indices[:7]] == [
        "none", "1 to 4", "1 to 4", "5 to 19", "5 to 19", "20 and more", "20 and more"
    ]  # fmt: skip


def test_names_with_few_jobs_are_others(replayed: Replayed) -> None:
    names = [f"p{n}" for n in range(NAMED + 1)]
    found = labels(replayed, "partition", partition=[*names, *names[:NAMED], None])
    assert found == [*names[:NAMED], "all others", *names[:NAMED], "not said"]


def test_users_are_numbered_and_not_named(replayed: Replayed) -> None:
    found = labels(replayed, "user", user=["ann", "bob", "bob", None, "all others"])
    assert found == ["user 3", "user 1", "user 1", "not said", "user 2"]


def test_every_job_is_in_one_bucket_of_each_kind(replayed: Replayed) -> None:
    runtime = replayed.jobs["runtime"].to_numpy()
    intervals = Intervals(0.9, replayed.lower_s[:, 2], replayed.upper_s[:, 2])
    answers = {"ensemble": replayed.predicted_s}
    for kind, buckets in kinds_of_jobs(replayed).items():
        found = bucket_metrics(buckets, answers, intervals, runtime)
        assert sum(bucket.jobs for bucket in found) == len(runtime), kind
        whole = np.abs(replayed.predicted_s - runtime).mean()
        assert _weighted_mae(found) == pytest.approx(whole), kind


def _weighted_mae(found: tuple[BucketMetrics, ...]) -> float:
    jobs = sum(bucket.jobs for bucket in found)
    return sum(bucket.jobs * bucket.mae["ensemble"] for bucket in found) / jobs


def test_blocks_follow_each_other_and_hold_all_jobs() -> None:
    runtime, submit = np.arange(1.0, 26.0), np.arange(25.0)
    levels = (Intervals(0.5, runtime, runtime), Intervals(0.9, runtime + 1, runtime + 2))
    found = block_metrics(submit, {"ensemble": runtime + 3}, levels, runtime)
    assert [block.jobs for block in found] == [3] * 5 + [2] * 5
    assert all(a.last_submit < b.first_submit for a, b in pairwise(found))
    assert {(block.mae["ensemble"], block.coverage) for block in found} == {(3.0, (1.0, 0.0))}


def test_fewer_jobs_than_blocks_make_fewer_blocks() -> None:
    two = np.array([1.0, 2.0])
    assert len(block_metrics(two, {"ensemble": two}, (), two)) == 2
