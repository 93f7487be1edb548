"""The laws of history: causality, and that training and serving see the same."""

import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history.replay import LogHistory
from rt_predictor.history.store import EventStore
from tests.history.jobs import Job, column, frame, job, some_jobs


def one_at_a_time(jobs: pl.DataFrame) -> np.ndarray:
    """What a server that hears of every end in order knows at each submit."""
    store = EventStore(max_events=10_000)
    ended = jobs.sort("end_time", maintain_order=True)
    found, added = [], 0
    for row in range(len(jobs)):
        asked = jobs[row : row + 1]
        while added < len(ended) and ended["end_time"][added] <= asked["submit_time"][0]:
            store.add(ended[added : added + 1])
            added += 1
        found.append(store.features(asked))
    return np.concatenate(found)


@settings(max_examples=60, deadline=None)
@given(some_jobs)
def test_training_and_serving_see_the_same(drawn: list[Job]) -> None:
    jobs = frame(*drawn).sort("submit_time", maintain_order=True)
    np.testing.assert_array_equal(LogHistory(jobs).features(jobs), one_at_a_time(jobs))


@settings(max_examples=60, deadline=None)
@given(some_jobs, st.integers(0, 70), st.data())
def test_nothing_depends_on_a_job_that_had_not_ended(
    drawn: list[Job], now: int, data: st.DataObject
) -> None:
    asked = job(submit_time=float(now), job_name="x", account="a")
    future = [
        event | {"runtime": event["runtime"] * data.draw(st.floats(0.5, 9)), "user": "ann"}  # type: ignore[operator]
        if event["end_time"] > now  # type: ignore[operator]
        else event
        for event in drawn
    ]
    query = frame(asked)
    np.testing.assert_array_equal(
        LogHistory(frame(*drawn)).features(query), LogHistory(frame(*future)).features(query)
    )


@settings(max_examples=60, deadline=None)
@given(some_jobs, st.randoms(use_true_random=False), st.integers(1, 9))
def test_what_is_known_does_not_depend_on_the_order_of_arrival(
    drawn: list[Job], shuffle: random.Random, piece: int
) -> None:
    whole, pieces = EventStore(10_000), EventStore(10_000)
    whole.add(frame(*drawn))
    shuffled = list(drawn)
    shuffle.shuffle(shuffled)
    for start in range(0, len(shuffled), piece):
        pieces.add(frame(*shuffled[start : start + piece]))
    asked = frame(*drawn, *(event | {"submit_time": 1e6} for event in drawn))
    np.testing.assert_array_equal(whole.features(asked), pieces.features(asked))


def test_a_job_that_ends_in_the_second_of_the_submit_is_visible() -> None:
    events = frame(job(end_time=50.0, runtime=10.0), job(end_time=50.5, runtime=20.0))
    features = LogHistory(events).features(frame(job(submit_time=50.0)))
    assert column(features, "user", "runs") == [1]
    assert column(features, "user", "last") == [10]
    assert column(features, "user", "age") == [0]


def test_statistics_by_hand() -> None:
    runtimes = [10.0, 20.0, 30.0, 40.0, 500.0, 2000.0]
    events = frame(
        *(job(end_time=float(i), runtime=run) for i, run in enumerate(runtimes, start=1))
    )
    store = EventStore(100)
    store.add(events)
    features = store.features(frame(job(submit_time=100.0)))
    expected = {
        "runs": 6, "last": 2000, "mean2": 1250, "median3": 500, "median5": 40, "median10": 35,
        "min5": 20, "max5": 2000, "age": 94,
    }  # fmt: skip
    for name, value in expected.items():
        assert column(features, "user_size_time", name) == [value], name
    ew = 10.0
    for run in runtimes[1:]:
        ew += 0.3 * (run - ew)
    assert column(features, "user", "ew_runtime")[0] == pytest.approx(ew, rel=1e-6)
    assert column(features, "user", "ew_used")[0] == pytest.approx(ew / 1000, rel=1e-6)
    assert column(features, "user", "ew_timeout")[0] == pytest.approx(0.3)


def test_jobs_of_another_kind_are_not_mixed_in() -> None:
    events = frame(job(end_time=1.0, runtime=7.0, processors_req=8.0, user="ann"))
    features = LogHistory(events).features(
        frame(job(submit_time=9.0), job(submit_time=9.0, user="bob"))
    )
    assert column(features, "user_size_time", "runs").tolist() == [0, 0]
    assert column(features, "user", "runs").tolist() == [1, 0]
    assert column(features, "partition", "runs").tolist() == [1, 1]
    assert np.isnan(column(features, "user_size_time", "last")).all()
