"""Events for the tests of the log."""

import polars as pl

from rt_predictor.eventlog.port import Appended
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import EVENT_SCHEMA, ended_events, job_events
from rt_predictor.traces.generate import generate_jobs


def some_ends(jobs: int, seed: int = 1) -> pl.DataFrame:
    """The ends of made-up jobs."""
    return ended_events(generate_jobs(jobs, seed=seed))


def some_kinds(jobs: int, seed: int = 1) -> pl.DataFrame:
    """All events of made-up jobs, in the order in which they happened."""
    return job_events(generate_jobs(jobs, seed=seed))


def an_event(kind: EventKind = EventKind.SUBMITTED, **fields: object) -> pl.DataFrame:
    """One event of job 1, submitted at 10, started at 20 and over at 50."""
    row: dict[str, object] = dict.fromkeys(EVENT_SCHEMA)
    row |= {"kind": kind.value, "job_id": "1", "submit_time": 10.0, "user": "ann"}
    match kind:
        case EventKind.SUBMITTED:
            row |= {"event_time": 10.0}
        case EventKind.STARTED:
            row |= {"event_time": 20.0, "start_time": 20.0}
        case EventKind.ENDED:
            row |= {"event_time": 50.0, "start_time": 20.0, "end_time": 50.0, "runtime": 30.0}
        case EventKind.CANCELLED:
            row |= {"event_time": 50.0, "end_time": 50.0}
    return pl.DataFrame([{**row, **fields}], schema=dict(EVENT_SCHEMA))


def counted(appended: Appended) -> tuple[int, int]:
    """How many events were recorded, and how many were known."""
    return appended.recorded, appended.duplicates
