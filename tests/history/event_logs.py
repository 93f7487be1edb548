"""Logs of events with all that is awkward."""

import polars as pl
from hypothesis import strategies as st

from rt_predictor.history.columns import JobColumns, job_columns
from rt_predictor.jobs.events import EVENT_SCHEMA, job_events
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from tests.history.token_logs import frame, job

# Few users, sizes and seconds, so that keys meet and times tie.
_drawn = st.fixed_dictionaries(
    {
        "submit": st.integers(0, 60),
        "wait": st.integers(0, 5),
        "run": st.sampled_from([0, 1, 3, 10, 40]),
        "user": st.sampled_from(["ann", "ann", "bob", None]),
        "processors_req": st.sampled_from([1.0, 4.0]),
        "time_req": st.sampled_from([100.0, 1000.0, None]),
        "job_name": st.sampled_from(["x", None]),
        "partition": st.sampled_from(["p", "q"]),
        "kinds": st.sampled_from(["all", "ended", "open", "cancelled", "changed"]),
    }
)


@st.composite
def event_logs(draw: st.DrawFn, max_jobs: int = 25) -> pl.DataFrame:
    """Events of all kinds, mostly in the order of time, each once."""
    parts = [pl.DataFrame(schema=dict(EVENT_SCHEMA))]
    for number, fields in enumerate(draw(st.lists(_drawn, max_size=max_jobs))):
        parts.append(_events_of(number, **fields))
    events = pl.concat(parts).sort("event_time", maintain_order=True)
    late = draw(st.lists(st.integers(0, max(len(events) - 1, 0)), max_size=6))
    places = [place for place in range(len(events)) if place not in late]
    return events[[*places, *(place for place in dict.fromkeys(late) if place < len(events))]]


def _events_of(
    number: int, submit: int, wait: int, run: int, kinds: str, **request: object
) -> pl.DataFrame:
    start, end = submit + wait, submit + wait + run
    times = {"submit_time": submit, "start_time": start, "end_time": end, "runtime": run}
    one = frame([job(job_id=str(number), **{k: float(v) for k, v in times.items()}, **request)])
    match kinds:
        case "cancelled":
            return job_events(one[:0], one.with_columns(start_time=None, end_time=start + 1.0))
        case "open":
            return job_events(one[:0], open_=one)
        case "ended":
            return job_events(one).filter(pl.col("kind") == "ended")
        case "changed":
            ended = pl.col("kind") == "ended"
            limit = pl.when(ended).then(50.0).otherwise("time_req")
            return job_events(one).with_columns(time_req=limit)
    return job_events(one)


def asked_of(events: pl.DataFrame) -> JobColumns:
    """The jobs of events as ones that are asked for."""
    return job_columns(events.select(list(REQUEST_SCHEMA)))
