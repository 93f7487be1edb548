"""Identical jobs are scored once, and nobody can tell."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.serving import distinct
from rt_predictor.serving.distinct import predict_distinct
from tests.serving.fakes import FakePredictor

rows = st.fixed_dictionaries(
    {
        "submit_time": st.sampled_from([0.0, 1.0]),
        "time_req": st.sampled_from([None, 60.0, 70.0]),
        "processors_req": st.sampled_from([None, 1.0]),
        "user": st.sampled_from([None, "", "a"]),
    }
)


@given(st.lists(rows, max_size=20), st.sampled_from([0, 256]))
def test_answers_are_those_of_all_jobs_and_each_is_scored_once(
    jobs: list[dict[str, object]], few: int
) -> None:
    frame = pl.DataFrame(jobs, schema=REQUEST_SCHEMA)
    predictor = FakePredictor()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distinct, "_FEW_JOBS", few)
        found = predict_distinct(predictor.predict, frame)
    expected = FakePredictor().predict(frame)
    for name in ("runtime_s", "lower_s", "upper_s", "timeout_probability", "members_s", "flags"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (found.level, found.member_names) == (expected.level, expected.member_names)
    (asked,) = predictor.asked
    assert asked.equals(frame.unique(maintain_order=True))


@given(st.lists(rows, max_size=20))
def test_rows_get_the_same_answers_as_a_frame(jobs: list[dict[str, object]]) -> None:
    frame = pl.DataFrame(jobs, schema=REQUEST_SCHEMA)
    predictor = FakePredictor()
    found = predict_distinct(predictor.predict, frame.rows(named=True))
    expected = FakePredictor().predict(frame)
    np.testing.assert_array_equal(found.members_s, expected.members_s)
    (asked,) = predictor.asked
    assert asked.equals(frame.unique(maintain_order=True))


def test_jobs_that_all_differ_are_passed_on_as_they_are() -> None:
    frame = pl.DataFrame([{"submit_time": float(n)} for n in range(3)], schema=REQUEST_SCHEMA)
    predictor = FakePredictor()
    predict_distinct(predictor.predict, frame)
    assert predictor.asked[0] is frame
