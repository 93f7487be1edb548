"""Identical jobs are scored once, and nobody can tell."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.predict.deduplicate import predict_distinct
from tests.predict.fakes import FakePredictor

rows = st.fixed_dictionaries(
    {
        "submit_time": st.sampled_from([0.0, 1.0]),
        "time_req": st.sampled_from([None, 60.0, 70.0]),
        "processors_req": st.sampled_from([None, 1.0]),
        "user": st.sampled_from([None, "", "a"]),
        "array_task_id": st.sampled_from([None, "1", "2"]),
    }
)
MATTERS = [name for name in REQUEST_SCHEMA if name != "array_task_id"]
"""What an answer can depend on."""


@given(st.lists(rows, max_size=20))
def test_answers_are_those_of_all_jobs_and_each_is_scored_once(
    jobs: list[dict[str, object]],
) -> None:
    frame = pl.DataFrame(jobs, schema=REQUEST_SCHEMA)
    predictor = FakePredictor()
    found = predict_distinct(predictor.predict, frame)
    expected = FakePredictor().predict(frame)
    for name in ("runtime_s", "lower_s", "upper_s", "timeout_probability", "members_s", "flags"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.levels.tolist() == expected.levels.tolist()
    assert found.member_names == expected.member_names
    (asked,) = predictor.asked
    assert asked.equals(frame.unique(MATTERS, maintain_order=True, keep="first"))


@given(st.lists(rows, max_size=20))
def test_rows_get_the_same_answers_as_a_frame(jobs: list[dict[str, object]]) -> None:
    frame = pl.DataFrame(jobs, schema=REQUEST_SCHEMA)
    predictor = FakePredictor()
    found = predict_distinct(predictor.predict, frame.rows(named=True))
    expected = FakePredictor().predict(frame)
    np.testing.assert_array_equal(found.members_s, expected.members_s)
    (asked,) = predictor.asked
    assert asked.equals(frame.unique(MATTERS, maintain_order=True, keep="first"))


@pytest.mark.parametrize("tasks", [10, 300])
def test_the_tasks_of_an_array_are_scored_as_one(tasks: int) -> None:
    array = [
        {"submit_time": 1.0, "time_req": 60.0, "array_job_id": "7", "array_task_id": str(task)}
        for task in range(tasks)
    ]
    frame = pl.DataFrame(array, schema=REQUEST_SCHEMA)
    for jobs in (frame, frame.rows(named=True)):
        predictor = FakePredictor()
        found = predict_distinct(predictor.predict, jobs)
        assert len(found) == tasks
        (asked,) = predictor.asked
        assert asked.equals(frame[:1])


def test_jobs_that_all_differ_are_passed_on_as_they_are() -> None:
    frame = pl.DataFrame([{"submit_time": float(n)} for n in range(3)], schema=REQUEST_SCHEMA)
    predictor = FakePredictor()
    predict_distinct(predictor.predict, frame)
    assert predictor.asked[0] is frame
