from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history.asked_tokens import AskedTokens, joined
from rt_predictor.history.columns import AskedJob, JobColumns, Told, job_columns
from rt_predictor.history.job_store import JobStore
from rt_predictor.history.log_tokens import log_tokens
from tests.history.test_log_tokens import assert_same
from tests.history.token_logs import frame, job, token_logs

MANY = 1_000_000


def events_of(log: JobColumns) -> tuple[np.ndarray, np.ndarray]:
    """Row and kind of each event that tells of a log."""
    pairs = [(row, kind) for row in range(len(log)) for kind in Told if log.told[row] & kind]
    rows, kinds = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(rows, dtype=int), np.array(kinds, dtype=np.uint8)


def told_by(log: JobColumns, rows: np.ndarray, kinds: np.ndarray) -> JobColumns:
    return replace(log.part(rows), told=kinds)


def asked_of(jobs: JobColumns, row: int) -> AskedJob:
    keys = tuple(map(int, jobs.keys[row]))
    return AskedJob(
        float(jobs.submit_s[row]), jobs.columns[row], keys, start_s=float(jobs.start_s[row])
    )


def ask_each(store: JobStore, asked: JobColumns, at_s: Sequence[float]) -> AskedTokens:
    rows = range(len(asked))
    return joined([store.tokens_of_one(asked_of(asked, row), at_s[row]) for row in rows])


def filled(log: JobColumns, order: Sequence[int] | None = None) -> JobStore:
    rows, kinds = events_of(log)
    store = JobStore(MANY, MANY)
    place = np.arange(len(rows)) if order is None else np.array(order, dtype=int)
    store.add(told_by(log, rows[place], kinds[place]))
    return store


@settings(max_examples=200, deadline=None)
@given(token_logs(), st.data())
def test_live_answers_are_those_of_the_whole_log(log: JobColumns, data: st.DataObject) -> None:
    """Whatever the order of events, late ones and duplicates included."""
    events = len(events_of(log)[0])
    order = data.draw(st.permutations(range(events)))
    again = data.draw(st.lists(st.sampled_from(order), max_size=10)) if events else []
    store = filled(log, [*order, *again])
    found = store.tokens_of(log, log.submit_s)
    assert_same(found, log_tokens(log).gather(slice(None)))
    if len(log):
        assert_same(ask_each(store, log, log.submit_s.tolist()), found)


def test_a_job_without_a_user_is_shown_as_many_jobs_as_any_other() -> None:
    times = (
        {"submit_time": t, "start_time": t, "end_time": t + 1, "runtime": 1.0} for t in range(80)
    )
    log = job_columns(frame([job(job_id=str(n), **at) for n, at in enumerate(times)]))
    asked = job_columns(frame([job(user=None, submit_time=100.0)]))
    store = filled(log)
    whole = log_tokens(log, asked).gather(slice(None))
    assert_same(store.tokens_of(asked, asked.submit_s), whole)
    assert_same(ask_each(store, asked, [100.0]), whole)


@settings(max_examples=100, deadline=None)
@given(token_logs(max_jobs=100), st.data())
def test_any_job_can_be_asked_for_at_any_time(log: JobColumns, data: st.DataObject) -> None:
    times = st.integers(0, 70).map(float) | st.integers(0, 80 * 86400).map(float)
    at_s = data.draw(st.lists(times, min_size=len(log), max_size=len(log)))
    store = filled(log)
    expected = log_tokens(log, log, np.array(at_s)).gather(slice(None))
    assert_same(store.tokens_of(log, np.array(at_s)), expected)
    if len(log):
        assert_same(ask_each(store, log, at_s), expected)
