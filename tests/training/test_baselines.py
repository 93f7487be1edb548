"""The baselines against their definitions, and against figures measured on real logs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from rt_predictor.traces import read_trace
from rt_predictor.training.baselines import BASELINES, USER_RATIO5, baselines, user_runs
from rt_predictor.training.split import scorable
from tests.training.jobs import Job, frame, job, some_jobs

BACKOFF = (
    (("user", "processors_req", "time_req"), 1),
    (("user", "time_req"), 1),
    (("user",), 1),
    (("partition", "time_req"), 10),
)
TEXTS = ("user", "partition")


def ended(log: list[Job], asked: Job, fields: tuple[str, ...]) -> list[float]:
    """Return runtimes of similar jobs that had ended at the submit of a job, latest last."""
    return [other["runtime"] for other in ended_jobs(log, asked, fields)]  # type: ignore[misc]


def ended_jobs(log: list[Job], asked: Job, fields: tuple[str, ...]) -> list[Job]:
    if any(asked[name] is None for name in fields if name in TEXTS):
        return []
    like = [other for other in log if all(other[name] == asked[name] for name in fields)]
    visible = [other for other in like if other["end_time"] <= asked["submit_time"]]  # type: ignore[operator]
    return sorted(visible, key=_by_end)


def _by_end(event: Job) -> tuple[object, object]:
    return event["end_time"], event["runtime"]


def by_definition(log: list[Job], asked: Job, typical_s: float) -> Iterator[float]:
    """Return the prediction of each baseline for one job, computed from its definition."""
    limit = asked["time_req"]
    fallback = typical_s if limit is None else limit
    mine = ended(log, asked, ("user",))
    backoff: list[float] = []
    for fields, least in reversed(BACKOFF):
        runs = ended(log, asked, fields)
        backoff = runs if len(runs) >= least else backoff
    for says in (
        fallback,
        mean(mine[-2:]) if len(mine) > 1 else fallback,
        median(mine[-5:]) if mine else fallback,
        median(backoff[-5:]) if backoff else fallback,
        _by_ratio(log, asked, fallback),
    ):
        yield says if limit is None else min(says, limit)  # type: ignore[type-var,misc]


def _by_ratio(log: list[Job], asked: Job, fallback: float) -> float:
    last = ended_jobs(log, asked, ("user",))[-5:]
    used = [job["runtime"] / job["time_req"] for job in last if job["time_req"]]  # type: ignore[operator]
    limit = asked["time_req"]
    return median(used) * limit if used and limit else fallback  # type: ignore[operator]


@settings(max_examples=80, deadline=None)
@given(some_jobs, some_jobs)
def test_baselines_are_what_their_definitions_say(drawn: list[Job], asked: list[Job]) -> None:
    start = min(other["submit_time"] for other in asked)  # type: ignore[type-var]
    before = [other["runtime"] for other in drawn if other["end_time"] <= start]  # type: ignore[operator]
    typical_s = median(before) if before else float("nan")  # type: ignore[type-var]
    found = baselines(frame(*drawn), frame(*asked))
    assert tuple(found) == (*BASELINES, USER_RATIO5)
    expected = [list(by_definition(drawn, one, typical_s)) for one in asked]  # type: ignore[arg-type]
    np.testing.assert_allclose(np.column_stack(list(found.values())), expected, rtol=1e-6)


def test_ten_jobs_of_others_in_the_partition_count_and_nine_do_not() -> None:
    others = [job(user="bob", end_time=float(n), runtime=50.0) for n in range(10)]
    asked = frame(job(user="ann", submit_time=9.0, time_req=1000.0))
    assert baselines(frame(*others), asked)["backoff_median5"] == [50]
    assert baselines(frame(*others[:9]), asked)["backoff_median5"] == [1000]


def test_an_outcome_is_invisible_before_its_job_ends() -> None:
    log = frame(job(end_time=50.0, runtime=7.0), job(end_time=50.0, runtime=7.0))
    asked = frame(job(submit_time=49.9), job(submit_time=50.0))
    for name in ("last2", "user_median5", "backoff_median5"):
        assert baselines(log, asked)[name].tolist() == [1000, 7], name


def test_one_finished_job_is_not_two() -> None:
    log, asked = frame(job(end_time=1.0, runtime=7.0)), frame(job(submit_time=9.0))
    found = baselines(log, asked)
    assert (found["last2"], found["user_median5"]) == ([1000], [7])


def test_jobs_without_a_partition_share_one() -> None:
    others = [job(user="bob", partition=None, end_time=float(n), runtime=50.0) for n in range(10)]
    asked = job(partition=None, submit_time=99.0)
    assert baselines(frame(*others), frame(asked))["backoff_median5"] == [50]
    elsewhere = job(user="eve", partition="big", submit_time=99.0)
    assert baselines(frame(*others), frame(elsewhere))["backoff_median5"] == [1000]


def test_no_baseline_says_more_than_the_limit() -> None:
    log = frame(job(end_time=1.0, runtime=5000.0), job(end_time=2.0, runtime=5000.0))
    for says in baselines(log, frame(job(submit_time=9.0, time_req=1000.0))).values():
        assert says == [1000]


def test_who_has_no_user_name_shares_no_history_with_others_who_have_none() -> None:
    log = frame(*(job(user=None, end_time=1.0, runtime=5.0) for _ in range(5)))
    for says in baselines(log, frame(job(user=None, submit_time=9.0))).values():
        assert says == [1000]


def test_finished_jobs_of_a_user_are_counted() -> None:
    log = frame(*(job(user="ann", end_time=float(n), runtime=1.0) for n in range(1, 9)))
    asked = frame(*(job(user=user, submit_time=6.0) for user in ("ann", "bob", None)))
    assert user_runs(log, asked).tolist() == [6, 0, 0]
    assert user_runs(log, asked, most=4).tolist() == [4, 0, 0]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "KTH-SP2-1996-2.swf.gz",
            {"request": 5893, "last2": 6502, "user_median5": 6542, "backoff_median5": 4996},
        ),
        (
            "SDSC-SP2-1998-pyss-easy.swf.gz",
            {"request": 8531, "last2": 4560, "user_median5": 4388, "backoff_median5": 3856},
        ),
        (
            "CTC-SP2-1996-pyss-easy.swf.gz",
            {"request": 13277, "last2": 7741, "backoff_median5": 7103},
        ),
    ],
)
def test_mean_absolute_errors_on_real_logs(
    trace_path: Callable[[str], Path], log: str, expected: dict[str, float]
) -> None:
    jobs = scorable(read_trace(trace_path(log)).jobs)
    test = jobs.filter(pl.col("submit_time") >= jobs["submit_time"][int(0.7 * len(jobs))])
    found = baselines(jobs, test)
    runtime = test["runtime"].to_numpy()
    mae = {name: float(np.abs(found[name] - runtime).mean()) for name in expected}
    assert mae == pytest.approx(expected, abs=1.5)
