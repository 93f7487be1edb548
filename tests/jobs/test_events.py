"""Events of jobs: what a log tells of, and which are valid."""

import polars as pl
import pytest

from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import (
    EVENT_IDENTITY,
    EVENT_SCHEMA,
    broken_events,
    job_events,
    with_event_times,
)
from rt_predictor.jobs.outcomes import CLOCK_TOLERANCE_S, MAX_AHEAD_S
from rt_predictor.jobs.schema import JOB_SCHEMA

NOW_S = 2_000_000_000.0
JOB = {
    "job_id": "7",
    "submit_time": 1000.0,
    "start_time": 1100.0,
    "end_time": 1400.0,
    "runtime": 300.0,
    "state": "COMPLETED",
    "user": "ann",
}
KNOWN_AT_SUBMIT = {"job_id": "7", "submit_time": 1000.0, "user": "ann"}


def _jobs(*jobs: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(jobs), schema=dict(JOB_SCHEMA))


def _events(*events: dict[str, object]) -> pl.DataFrame:
    return with_event_times(pl.DataFrame(list(events), schema=dict(EVENT_SCHEMA)))


def _told(events: pl.DataFrame) -> list[tuple[str, str, float]]:
    return list(events.select("job_id", "kind", "event_time").iter_rows())


def test_a_finished_job_was_submitted_started_and_ended() -> None:
    events = job_events(_jobs(JOB))
    assert dict(events.schema) == dict(EVENT_SCHEMA)
    assert _told(events) == [
        ("7", "submitted", 1000.0),
        ("7", "started", 1100.0),
        ("7", "ended", 1400.0),
    ]
    assert broken_events(events, now_s=NOW_S) == {}


def test_an_event_tells_nothing_that_was_not_known_then() -> None:
    submitted, started, ended = job_events(_jobs(JOB)).select(*JOB_SCHEMA).to_dicts()
    nothing = dict.fromkeys(JOB_SCHEMA)
    assert submitted == {**nothing, **KNOWN_AT_SUBMIT}
    assert started == {**nothing, **KNOWN_AT_SUBMIT, "start_time": 1100.0}
    assert ended == {**nothing, **JOB}


def test_a_job_whose_start_is_not_known_has_no_such_event() -> None:
    events = job_events(_jobs({**JOB, "start_time": None}))
    assert events["kind"].to_list() == ["submitted", "ended"]


def test_events_come_in_the_order_in_which_they_happened() -> None:
    later = {**JOB, "job_id": "8", "submit_time": 1100.0, "start_time": 1100.0}
    events = job_events(_jobs(later, JOB))
    assert _told(events) == [
        ("7", "submitted", 1000.0),
        ("8", "submitted", 1100.0),
        ("8", "started", 1100.0),
        ("7", "started", 1100.0),
        ("8", "ended", 1400.0),
        ("7", "ended", 1400.0),
    ]


def test_a_job_that_never_started_was_cancelled() -> None:
    never = {**KNOWN_AT_SUBMIT, "end_time": 1400.0, "state": "CANCELLED"}
    events = job_events(_jobs(), cancelled=_jobs(never))
    assert _told(events) == [("7", "submitted", 1000.0), ("7", "cancelled", 1400.0)]
    assert broken_events(events, now_s=NOW_S) == {}


def test_jobs_that_a_log_left_open_wait_or_run() -> None:
    running = {**KNOWN_AT_SUBMIT, "start_time": 1100.0, "state": "RUNNING"}
    waiting = {**KNOWN_AT_SUBMIT, "job_id": "8", "state": "PENDING"}
    events = job_events(_jobs(), open_=_jobs(running, waiting))
    assert _told(events) == [
        ("7", "submitted", 1000.0),
        ("8", "submitted", 1000.0),
        ("7", "started", 1100.0),
    ]


def test_equal_jobs_without_ids_stay_apart() -> None:
    jobs = _jobs({**JOB, "job_id": None}, {**JOB, "job_id": None})
    events = job_events(jobs)
    assert events.select(*EVENT_IDENTITY).n_unique() == 6


@pytest.mark.parametrize(
    ("kind", "column"),
    [("submitted", "submit_time"), ("started", "start_time"), ("ended", "end_time"),
     ("cancelled", "end_time")],
)  # fmt: skip
def test_the_time_of_an_event_is_that_of_its_job(kind: str, column: str) -> None:
    (from_job,) = _events({**JOB, "kind": kind}).to_dicts()
    assert from_job["event_time"] == JOB[column]
    if column != "submit_time":
        (from_event,) = _events({**JOB, column: None, "kind": kind, "event_time": 5.0}).to_dicts()
        assert from_event[column] == 5.0


ENDED: dict[str, object] = {**JOB, "kind": "ended"}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"kind": "vanished"}, "kind = 'vanished': must be one of submitted, started, ended"),
        ({"kind": None}, "kind is missing"),
        ({"job_id": None}, "job_id is missing: required"),
        ({"submit_time": None}, "submit_time is missing: required"),
        ({"attempt": -1.0}, "attempt = -1.0: must be a whole number from 0"),
        ({"runtime": None}, "runtime is missing: required"),
        ({"kind": "started", "start_time": None}, "event_time is missing: required"),
        ({"kind": "started", "start_time": 1000.0 - CLOCK_TOLERANCE_S - 1}, "must not be before"),
        ({"kind": "cancelled", "end_time": 1.0}, "must not be before submit_time = 1000.0"),
        ({"kind": "submitted", "submit_time": NOW_S + MAX_AHEAD_S + 1}, "must not be in the futu"),
        ({"processors_req": 0.5}, "processors_req = 0.5: must be a whole number"),
    ],
)
def test_an_event_that_cannot_be_is_refused(event: dict[str, object], message: str) -> None:
    frame = _events(ENDED, {**ENDED, **event}, ENDED)
    errors = broken_events(frame, now_s=NOW_S)
    assert list(errors) == [1]
    assert message in str(errors[1])


def test_kinds_that_have_no_outcome_need_none() -> None:
    frame = _events(
        *({**KNOWN_AT_SUBMIT, "kind": kind, "event_time": 1200.0} for kind in EventKind)
    )
    errors = broken_events(frame, now_s=NOW_S)
    assert {frame["kind"][row] for row in errors} == {"ended"}
