"""What a valid finished job is."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.jobs.outcomes import (
    CLOCK_TOLERANCE_S,
    MAX_AHEAD_S,
    Quarantine,
    Skip,
    broken_outcomes,
    reasons_of,
    screened,
)
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
        ({"runtime": -5.0}, "runtime = -5.0: must be"),
        ({"runtime": float("nan")}, "runtime = nan: must be"),
        ({"end_time": float("inf")}, "end_time = inf: must be"),
        ({"submit_time": float("nan")}, "submit_time = nan: must be"),
        ({"end_time": 10.0}, "end_time = 10.0: must be after submit_time = 10.0 (Unix s)"),
        ({"end_time": 9.0}, "end_time = 9.0: must be after submit_time = 10.0 (Unix s)"),
        (
            {"submit_time": 1e9, "start_time": 1e9 - 61, "end_time": 1e9 + 60},
            "must not be before",
        ),
        (
            {"runtime": 21.0 + CLOCK_TOLERANCE_S},
            "must not be longer than the 20 s from submit_time",
        ),
        (
            {"start_time": 12.0, "runtime": 19.5},
            "runtime = 19.5: must not be longer than the 18 s from start_time to end_time",
        ),
        (
            {"start_time": 31.5, "runtime": 0.0},
            "end_time = 30.0: must not be before start_time = 31.5 (Unix s)",
        ),
        *(
            ({"state": state}, f"state = '{state}': is the state of a job that has not ended")
            for state in ("RUNNING", "PENDING", "SUSPENDED", "COMPLETING", "REQUEUE_HOLD")
        ),
        ({"start_time": -1.0}, "start_time = -1.0: is no start: the job never started"),
        ({"submit_time": 1e9, "end_time": 2e9, "start_time": 0.0}, "the job never started"),
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


def test_times_are_rounded_to_seconds() -> None:
    assert broken(start_time=12.0, runtime=19.0) == []
    assert broken(start_time=31.0, runtime=0.0) == []


def test_a_job_that_was_suspended_ran_for_less_than_from_start_to_end() -> None:
    assert broken(start_time=12.0, runtime=2.0) == []


def test_a_state_that_is_not_known_loses_no_outcome() -> None:
    assert broken(state="FOO") == []


def test_a_job_that_ended_as_it_started_is_valid() -> None:
    assert broken(runtime=0.0) == []
    assert broken(runtime=0.0, start_time=10.0, end_time=10.0) == []


rows = st.fixed_dictionaries(
    {
        **{
            name: st.sampled_from([None, -1.0, 0.0, 10.0, 30.0, 5000.0, NOW_S * 2, 1e12])
            for name in ("submit_time", "start_time", "end_time", "runtime", "time_req")
        },
        "processors_req": st.sampled_from([None, 0.5, 4.0]),
        "user": st.sampled_from([None, "ann", "x" * 257]),
        "state": st.sampled_from([None, "COMPLETED", "RUNNING", "PENDING", "FOO"]),
    }
)


@given(st.lists(rows, max_size=20))
def test_logs_and_calls_are_judged_in_the_same_words(drawn: list[dict[str, object]]) -> None:
    jobs = pl.DataFrame([{**row, "job_id": "7"} for row in drawn], schema=dict(JOB_SCHEMA))
    errors = broken_outcomes(jobs, now_s=NOW_S)
    found = screened(jobs, now_s=NOW_S)
    assert found.reasons == reasons_of(list(errors.values()))
    kept = ~pl.int_range(pl.len()).is_in(list(errors))
    assert found.plausible.equals(jobs.filter(kept))


def test_long_over_a_limit_is_quarantined_where_limits_are_enforced() -> None:
    job = {"time_req": 3600.0, "end_time": 20_000.0, "job_id": "7"}
    jobs = pl.concat([frame(**job, runtime=runtime) for runtime in (3900.0, 7000.0, 7300.0)])
    assert len(screened(jobs).plausible) == 3
    found = screened(jobs, limits_enforced=True)
    assert found.plausible["runtime"].to_list() == [3900.0, 7000.0]
    assert found.quarantined["runtime"].to_list() == [7300.0]
    assert found.reasons == {Quarantine.OVER_LIMIT: 1}


def test_errors_are_counted_by_reason() -> None:
    jobs = pl.concat([frame(end_time=5.0), frame(end_time=6.0), frame(runtime=None)])
    reasons = reasons_of(list(broken_outcomes(jobs).values()))
    assert reasons == {Skip.END_BEFORE_SUBMIT: 2, Skip.NO_RUNTIME: 1}


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
