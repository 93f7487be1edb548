"""The store gives what `LogHistory` gives, however its events came and lie."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history import eviction, segments, sorted_runs, store
from rt_predictor.history.eviction import EVICTED_SHARE
from rt_predictor.history.keys import KEYS
from rt_predictor.history.replay import LogHistory
from rt_predictor.history.store import BYTES_A_KEY, BYTES_AN_EVENT, EventStore
from rt_predictor.history.windows import WINDOW_RUNS
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.traces.generate import generate_jobs
from tests.history.jobs import Job, a_job, batches_of_jobs, column, frame, job, some_jobs


@contextmanager
def small_segments() -> Iterator[None]:
    """Sizes at which a few jobs already make several segments and pieces of work."""
    with (
        mock.patch.object(store, "_SMALL_SEGMENT", 2),
        mock.patch.object(store, "_SIZE_RATIO", 2),
        mock.patch.object(store, "_ADDED_EVENTS", 7),
        mock.patch.object(segments, "_PIECE", 5),
        mock.patch.object(sorted_runs, "_MERGED_ENTRIES", 11),
    ):
        yield


def often(events: int = 1) -> "mock._patch[int]":
    """Limits that are looked at before every so many events."""
    return mock.patch.object(eviction, "EVICTION_EVERY", events)


def later(jobs: pl.DataFrame, submit_s: float) -> pl.DataFrame:
    return jobs.with_columns(submit_time=pl.lit(submit_s))


@settings(max_examples=100, deadline=None)
@given(batches_of_jobs, st.lists(a_job, min_size=1, max_size=8), st.integers(0, 110))
def test_the_store_equals_the_log_at_any_time(
    batches: list[list[Job]], asked: list[Job], now: int
) -> None:
    jobs = frame(*asked)
    with small_segments():
        filled = EventStore(10_000)
        seen = frame()
        for batch in batches:
            filled.add(frame(*batch))
            seen = pl.concat([seen, frame(*batch)])
        query = pl.concat([jobs, later(jobs, float(now)), later(jobs, 1e6), seen])
        np.testing.assert_array_equal(filled.features(query), LogHistory(seen).features(query))
    assert len(filled) == len(seen)


@settings(max_examples=60, deadline=None)
@given(some_jobs, st.integers(1, 30))
def test_beyond_the_limit_the_events_that_ended_first_go(jobs: list[Job], max_events: int) -> None:
    kept, every = frame(), 4
    with small_segments(), often(every):
        filled = EventStore(max_events)
        for number, arrived in enumerate(jobs):
            if number % every == 0 and len(kept) > max_events:
                kept = kept.tail(max(int(max_events * (1 - EVICTED_SHARE)), 1))
            filled.add(frame(arrived))
            kept = pl.concat([kept, frame(arrived)]).sort(
                "end_time", "runtime", (pl.col("runtime") / pl.col("time_req")), nulls_last=True
            )
            assert len(filled) == len(kept) <= max_events + every
        query = pl.concat([kept, later(kept, 1e6)])
        np.testing.assert_array_equal(filled.features(query), LogHistory(kept).features(query))


@settings(max_examples=60, deadline=None)
@given(batches_of_jobs, st.integers(1, 30), st.integers(1, 60))
def test_what_is_kept_does_not_depend_on_the_batches(
    batches: list[list[Job]], max_events: int, max_keys: int
) -> None:
    with small_segments(), often(5):
        filled, at_once = (EventStore(max_events, max_keys) for _ in range(2))
        for batch in batches:
            filled.add(frame(*batch))
        everything = pl.concat([frame(*batch) for batch in batches])
        at_once.add(everything)
        query = pl.concat([everything, later(everything, 1e6)])
        np.testing.assert_array_equal(filled.features(query), at_once.features(query))
    assert (len(filled), filled.arrived) == (len(at_once), at_once.arrived)


def test_beyond_the_limit_the_keys_idle_longest_go() -> None:
    filled = EventStore(max_events=10_000, max_keys=80)
    with often():
        for number in range(200):
            filled.add(frame(job(user=f"u{number}", end_time=float(number), runtime=5.0)))
            filled.compact()
            assert filled.keys <= 80 + len(KEYS)
    asked = frame(job(user="u199", submit_time=1e3), job(user="u0", submit_time=1e3))
    assert column(filled.features(asked), "user", "runs").tolist() == [1, 0]
    assert column(filled.features(asked), "partition", "runs").tolist() == [WINDOW_RUNS] * 2


def test_a_key_without_events_goes() -> None:
    filled = EventStore(max_events=10)
    with often():
        for number in range(300):
            filled.add(frame(job(user=f"u{number}", end_time=float(number), runtime=5.0)))
    filled.compact()
    users_and_shared = 5 * 11 + 2
    assert filled.keys <= users_and_shared


def test_a_key_that_returns_after_it_was_forgotten_starts_anew() -> None:
    filled = EventStore(max_events=10)
    with often():
        filled.add(frame(job(user="ann", end_time=0.0, runtime=7.0)))
        filled.add(frame(*(job(user="bob", end_time=float(i), runtime=5.0) for i in range(1, 11))))
        filled.add(frame(job(user="ann", end_time=20.0, runtime=8.0)))
    features = filled.features(frame(job(user="ann", submit_time=30.0)))
    assert column(features, "user", "runs") == [1]
    assert column(features, "user", "last") == [8]


def test_an_empty_store_knows_nothing() -> None:
    filled = EventStore(100)
    assert len(filled) == filled.keys == 0
    asked = frame(job(submit_time=1.0), job(submit_time=2.0, user=None))
    np.testing.assert_array_equal(filled.features(asked), LogHistory(frame()).features(asked))
    filled.add(frame())
    assert filled.features(asked[:0]).shape == (0, filled.features(asked).shape[1])


def test_an_event_without_user_and_partition_counts_among_its_like_alone() -> None:
    filled = EventStore(100)
    nameless = job(user=None, partition=None, submit_time=9.0)
    filled.add(frame(nameless | {"end_time": 1.0, "runtime": 5.0}))
    assert (len(filled), filled.keys) == (1, 2)  # its partition, with its limit and without
    asked = frame(job(submit_time=9.0))
    np.testing.assert_array_equal(filled.features(asked), EventStore(100).features(asked))
    known = filled.features(frame(nameless))
    for key, runs in (("partition", 1), ("partition_time", 1), ("user", 0)):
        assert column(known, key, "runs") == runs, key


def test_events_are_numbered_in_the_order_of_arrival() -> None:
    filled = EventStore(max_events=10)
    events = frame(*(job(end_time=float(i), runtime=1.0) for i in range(8)))
    with often(8):
        assert filled.add(events) == range(8)
        assert filled.add(events) == range(8, 16)
        assert filled.add(frame()) == range(16, 16)
        assert filled.add(events[:1]) == range(16, 17)
    assert (filled.arrived, len(filled)) == (17, 10)


def test_only_the_request_is_looked_at_in_what_is_asked() -> None:
    events = generate_jobs(300, seed=4)
    filled = EventStore(1000)
    filled.add(events)
    requests = events.select(list(REQUEST_SCHEMA))
    np.testing.assert_array_equal(filled.features(requests), filled.features(events))
    shuffled = requests.select(sorted(REQUEST_SCHEMA, reverse=True))
    np.testing.assert_array_equal(filled.features(shuffled[:3]), filled.features(events[:3]))


def test_a_row_is_the_same_alone_and_among_others() -> None:
    events = generate_jobs(500, seed=5)
    filled = EventStore(1000)
    filled.add(events)
    alone = [filled.features(events[row : row + 1]) for row in range(0, 500, 7)]
    np.testing.assert_array_equal(filled.features(events)[::7], np.concatenate(alone))


def test_segments_of_real_sizes_give_what_the_log_gives() -> None:
    events = generate_jobs(30_000, seed=6)
    filled = EventStore(100_000)
    for start in range(0, len(events), 4000):
        filled.add(events[start : start + 4000])
    asked = pl.concat([events[::10], later(events[::10], 1e10)])
    np.testing.assert_array_equal(filled.features(asked), LogHistory(events).features(asked))


def test_an_event_and_a_key_take_the_memory_that_is_documented() -> None:
    filled = EventStore(100_000)
    filled.add(generate_jobs(20_000, seed=7))
    runs, known = filled._segments[0].runs, filled._segments[0].known
    arrays = (*vars(runs).values(), *vars(known).values())
    documented = len(filled) * BYTES_AN_EVENT + filled.keys * BYTES_A_KEY
    assert len(filled._segments) == 1
    assert sum(array.nbytes for array in arrays) <= documented + 1000


def test_readers_see_only_whole_batches() -> None:
    batches = [
        frame(
            *(
                job(end_time=float(number), runtime=float(number), account="a", job_name=f"j{i}")
                for i in range(number % 4 + 1)
            )
        )
        for number in range(1, 60)
    ]
    asked = frame(job(submit_time=100.0, account="a", job_name="j0"), job(submit_time=30.0))
    seen: list[set[bytes]] = []
    done = threading.Event()
    start = threading.Barrier(4)

    def read() -> None:
        mine = set()
        start.wait()
        while not done.is_set():
            mine.add(filled.features(asked).tobytes())
        seen.append(mine)

    with small_segments(), often(5):  # never within a batch
        alone, filled = EventStore(70), EventStore(70)
        possible = {alone.features(asked).tobytes()}
        for batch in batches:
            if alone.arrived % 5 == 0:
                alone.evict()
                possible.add(alone.features(asked).tobytes())
            alone.add(batch)
            possible.add(alone.features(asked).tobytes())
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        start.wait()
        for number, batch in enumerate(batches):
            filled.add(batch)
            if number == 30:
                filled.compact()
        done.set()
        for reader in readers:
            reader.join()
    assert len(filled) < sum(map(len, batches)), "nothing was evicted"
    assert len(seen) == 3
    assert set().union(*seen) <= possible


@pytest.mark.parametrize("count", [1, 5])
def test_a_job_that_lacks_a_text_has_no_such_key(count: int) -> None:
    filled = EventStore(100)
    filled.add(frame(job(end_time=1.0, runtime=5.0, account=None)))
    asked = frame(*[job(submit_time=9.0, account=None)] * count)
    features = filled.features(asked)
    assert column(features, "account", "runs").tolist() == [0] * count
    assert column(features, "user", "runs").tolist() == [1] * count
