"""What a valid finished job is."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.jobs.outcomes import MAX_AHEAD_S, broken_outcomes
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.traces.generate import generate_jobs

NOW_S = 2e9
PLAIN = {"submit_time": 10.0, "end_time": 30.0, "runtime": 15.0, "job_id": "7"}


def frame(**fields: object) -> pl.DataFrame:
    return pl.DataFrame([{**PLAIN, **fields}], schema=dict(JOB_SCHEMA))


def broken(**fields: object) -> list[str]:
    return [str(error) for error in broken_outcomes(frame(**fields), now_s=NOW_S).values()]


def test_the_least_that_is_known_is_enough() -> None:
    assert broken() == []
    assert broken_outcomes(generate_jobs(500, seed=1), now_s=NOW_S) == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"submit_time": None}, "submit_time is missing: required"),
        ({"end_time": None}, "end_time is missing: required"),
        ({"runtime": None}, "runtime is missing: required"),
        ({"job_id": None}, "job_id is missing: required"),
        ({"job_id": ""}, "job_id is missing: required"),
        ({"job_id": "x" * 257}, "job_id = 'xxxxx"),
        ({"runtime": 0.0}, "runtime = 0.0: must be a number from 0.001 to 3.16224e+08 (s)"),
        ({"runtime": -5.0}, "runtime = -5.0: must be"),
        ({"runtime": float("nan")}, "runtime = nan: must be"),
        ({"end_time": float("inf")}, "end_time = inf: must be"),
        ({"submit_time": float("nan")}, "submit_time = nan: must be"),
        ({"end_time": 10.0}, "end_time = 10.0: must be after submit_time = 10.0 (Unix s)"),
        ({"end_time": 9.0}, "end_time = 9.0: must be after submit_time = 10.0 (Unix s)"),
        ({"end_time": NOW_S + MAX_AHEAD_S + 1}, "must not be in the future: it is 2000000000"),
        ({"start_time": float("nan")}, "start_time = nan: must be"),
        ({"state": "x" * 257}, "state = 'xxxxx"),
        ({"time_req": 0.0}, "time_req = 0.0: must be"),
        ({"processors_req": 1.5}, "processors_req = 1.5: must be a whole number"),
        ({"user": "x" * 257}, "user = 'xxxxx"),
    ],
)
def test_a_broken_rule_is_named_with_field_and_value(
    fields: dict[str, object], message: str
) -> None:
    (found,) = broken(**fields)
    assert message in found


def test_clocks_may_differ_a_little() -> None:
    assert broken(end_time=NOW_S + MAX_AHEAD_S) == []


def test_the_future_is_let_pass_where_no_clock_is_asked() -> None:
    assert broken_outcomes(frame(end_time=NOW_S * 2)) == {}


def test_the_first_rule_that_is_broken_is_named() -> None:
    assert [text.partition(" ")[0] for text in broken(submit_time=-1.0, end_time=-5.0)] == [
        "submit_time"
    ]


@given(st.lists(st.sampled_from([PLAIN, {**PLAIN, "runtime": -1.0}]), max_size=20))
def test_a_broken_outcome_does_not_harm_its_neighbours(rows: list[dict[str, object]]) -> None:
    events = pl.DataFrame(rows, schema=dict(JOB_SCHEMA))
    expected = {place for place, row in enumerate(rows) if row["runtime"] == -1.0}
    assert set(broken_outcomes(events)) == expected
