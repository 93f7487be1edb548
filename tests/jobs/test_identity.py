"""What tells a job from every other."""

import polars as pl

from rt_predictor.jobs.identity import with_ids
from rt_predictor.jobs.schema import JOB_SCHEMA

JOB = {"submit_time": 10.0, "user": "ann", "end_time": 30.0, "runtime": 20.0, "state": "COMPLETED"}


def _frame(*jobs: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(jobs), schema=dict(JOB_SCHEMA))


def test_ids_of_a_log_are_kept() -> None:
    jobs = _frame({**JOB, "job_id": "7"}, {**JOB, "job_id": "8"})
    assert with_ids(jobs).equals(jobs)


def test_equal_jobs_of_one_log_get_ids_of_their_own() -> None:
    ids = with_ids(_frame(JOB, JOB, {**JOB, "job_id": "7"}, {**JOB, "user": "bob"}))["job_id"]
    assert ids.n_unique() == 4
    assert ids[2] == "7"


def test_the_same_log_gets_the_same_ids_again() -> None:
    first = with_ids(_frame(JOB, JOB, {**JOB, "user": "bob"}))["job_id"].to_list()
    again = with_ids(_frame({**JOB, "user": "bob"}, JOB, JOB))["job_id"].to_list()
    assert sorted(first) == sorted(again)


def test_ids_are_those_of_logs_recorded_by_edition_1() -> None:
    assert with_ids(_frame(JOB))["job_id"].to_list() == ["row-509cfd65df55f3a9ec95015f"]
