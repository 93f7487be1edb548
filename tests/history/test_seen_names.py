"""Names are known from the first event that tells them, whenever that comes in."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.history.columns import COLUMN, job_columns
from rt_predictor.history.fold import event_columns
from rt_predictor.history.seen_names import MAX_NAMES, SeenNames
from rt_predictor.jobs.event_kind import EventKind
from rt_predictor.jobs.events import job_events
from tests.history.event_logs import event_logs
from tests.history.token_logs import frame, job

ASKED = ("p", "q", "new", None)
CODES = job_columns(frame([job(partition=name) for name in ASKED])).columns
PARTITIONS = CODES[:, COLUMN["partition_id"]]


def seen(*logs: pl.DataFrame) -> SeenNames:
    names = SeenNames()
    for events in logs:
        if len(events):
            names.add(event_columns(events))
    return names


def unseen(names: SeenNames, at_s: float) -> list[bool]:
    return names.unseen("partition_id", PARTITIONS, np.full(len(ASKED), at_s)).tolist()


def visible(events: pl.DataFrame, at_s: float) -> pl.DataFrame:
    """What had happened by a time; a submit is seen by what comes later."""
    submitted = pl.col("kind") == EventKind.SUBMITTED.value
    late = (pl.col("event_time") > at_s) | (submitted & (pl.col("event_time") == at_s))
    return events.filter(~late)


@given(event_logs(), st.floats(-1, 120), st.lists(st.integers(0, 80), max_size=4))
def test_what_was_new_then_is_what_is_new_to_a_log_of_that_time(
    events: pl.DataFrame, at_s: float, cuts: list[int]
) -> None:
    pieces = [events[a:b] for a, b in pairwise(sorted({0, len(events), *cuts}))]
    whole = seen(*pieces)
    for time_s in (at_s, float(round(at_s))):
        assert unseen(whole, time_s) == unseen(seen(visible(events, time_s)), time_s)


@given(event_logs(), st.integers(0, 60))
def test_one_name_alone_is_as_new_as_among_many(events: pl.DataFrame, at_s: int) -> None:
    names = SeenNames(seen(events).arrays())
    alone = [names.is_unseen("partition_id", code, float(at_s)) for code in PARTITIONS.tolist()]
    assert alone == unseen(seen(events), float(at_s))


@pytest.mark.parametrize(("kind", "from_s"), [("submitted", 1.5), ("started", 4.0), ("ended", 9.0)])
def test_a_name_is_known_from_the_time_of_what_tells_it(kind: str, from_s: float) -> None:
    jobs = frame([job(submit_time=1.0, start_time=4.0, end_time=9.0, runtime=5.0, partition="q")])
    other = job_events(frame([job(submit_time=0.0, end_time=0.5, runtime=0.5)]))
    names = seen(job_events(jobs).filter(pl.col("kind") == kind), other)
    assert unseen(names, from_s) == [False, False, True, False]
    assert unseen(names, from_s - 0.5) == [False, True, True, False]
    assert unseen(names, 0.0) == [False] * 4, "nothing was known then"


def test_names_are_bounded_and_those_that_are_known_may_still_become_older() -> None:
    def told(names: range, end_s: float) -> pl.DataFrame:
        times = {"submit_time": end_s - 1, "end_time": end_s, "runtime": 1.0}
        rows = [job(job_id=str(n), partition=f"p{n}", **times) for n in names]
        return job_events(frame(rows)).filter(pl.col("kind") == "ended")

    names = seen(told(range(MAX_NAMES), 100.0), told(range(MAX_NAMES, MAX_NAMES + 5), 100.0))
    # Codes are short hashes: a few names share one.
    assert 0.99 * MAX_NAMES < len(names.arrays()["partition_id"]) <= MAX_NAMES + 5
    names.add(event_columns(told(range(1), 50.0)))
    code = job_columns(frame([job(partition="p0")])).columns[0, COLUMN["partition_id"]].item()
    assert not names.is_unseen("partition_id", code, 60.0)
