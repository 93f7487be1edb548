"""What is folded depends on the log alone, and is learned from as of each job's submit."""

from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history import job_store
from rt_predictor.history.columns import COLUMN, job_columns
from rt_predictor.history.fold import Fold, event_columns
from rt_predictor.history.job_store import JobStore
from rt_predictor.history.learner import NothingLearned
from rt_predictor.history.value_ids import NULL_ID, value_id
from rt_predictor.jobs.events import ended_events, job_events
from rt_predictor.traces.generate import generate_jobs
from tests.history.event_logs import asked_of, event_logs
from tests.history.fakes import FakeLearned
from tests.history.token_logs import frame, job


def empty(max_events: int = 1000, max_keys: int = 1000) -> Fold:
    return Fold(JobStore(max_events, max_keys), FakeLearned())


def learned_by(fold: Fold) -> FakeLearned:
    assert isinstance(fold.learned, FakeLearned)
    return fold.learned


def folded(events: pl.DataFrame, cuts: list[int], **limits: int) -> Fold:
    fold, position = empty(**limits), 0
    for cut in sorted({*cuts, len(events)}):
        if position < cut <= len(events):
            fold.take(events[position:cut], cut)
            position = cut
    return fold


def knowledge(fold: Fold, events: pl.DataFrame) -> list[bytes]:
    """All that can be asked of the jobs of events, at their submit and long after."""
    asked = asked_of(events)
    found = []
    for at_s in (asked.submit_s, asked.submit_s + 50, np.full(len(asked), 1e6)):
        tokens = fold.store.tokens_of(asked, at_s)
        found += [np.asarray(part).tobytes() for part in tokens[1:6]]
        found.append(tokens.site_columns[tokens.site_of].tobytes())
    names = [codes.tobytes() for codes in fold.names.arrays().values()]
    return [*found, *names, repr(learned_by(fold).seen).encode()]


some_cuts = st.lists(st.integers(0, 80), max_size=20)


@settings(max_examples=60, deadline=None)
@given(event_logs(), some_cuts, st.integers(2, 40), st.integers(5, 60))
def test_what_is_folded_does_not_depend_on_how_the_log_was_cut(
    events: pl.DataFrame, cuts: list[int], max_events: int, max_keys: int
) -> None:
    with mock.patch.object(job_store, "EVICTION_EVERY", 7):
        limits = {"max_events": max_events, "max_keys": max_keys}
        whole, one_by_one, cut = (
            folded(events, each, **limits) for each in ([], list(range(len(events))), cuts)
        )
        expected = knowledge(whole, events)
        for fold in (one_by_one, cut):
            assert knowledge(fold, events) == expected
            assert fold.position == whole.position


@settings(max_examples=60, deadline=None)
@given(event_logs())
def test_a_job_is_learned_from_by_the_events_before_its_end_in_the_log(
    events: pl.DataFrame,
) -> None:
    fold = folded(events, [])
    columns = event_columns(events)
    expected = []
    for place in np.flatnonzero(columns.is_token()).tolist():
        alone = empty()
        alone.store.add(columns.part(slice(place + 1)))
        module_part = columns.part(slice(place, place + 1))
        tokens = alone.store.tokens_of(module_part, module_part.submit_s)
        expected.append(tokens.columns[0, :, 0].tolist())
    found = [row[3 : 3 + len(expected[0])] for row in learned_by(fold).seen] if expected else []
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.float64))


def test_a_job_that_ends_in_the_second_another_is_submitted_is_seen_if_it_came_first() -> None:
    first = job(job_id="1", submit_time=0.0, end_time=10.0, runtime=10.0)
    second = job(job_id="2", submit_time=10.0, end_time=30.0, runtime=7.0)
    for jobs, seen in (([first, second], [0, 1]), ([second, first], [0, 0])):
        fold = folded(ended_events(frame(jobs)), [])
        assert learned_by(fold).own_jobs() == seen


def test_events_in_the_order_of_time_are_learned_from_together() -> None:
    events = job_events(generate_jobs(400, seed=2))
    fold = folded(events, [])
    assert sum(learned_by(fold).together) == 400
    assert max(learned_by(fold).together) == 400


def test_an_event_that_breaks_a_rule_is_passed_over() -> None:
    good = [
        job(job_id=str(n), submit_time=float(n), end_time=n + 5.0, runtime=5.0) for n in range(3)
    ]
    bad = job(job_id="bad", submit_time=1.0, end_time=5.0, runtime=-1.0)
    fold = empty()
    fold.take(ended_events(frame([*good, bad])), 4)
    assert (len(fold.store), fold.position) == (3, 4)


def test_a_job_that_never_ran_teaches_nothing() -> None:
    events = ended_events(frame([job(submit_time=0.0, start_time=9.0, end_time=9.0, runtime=0.0)]))
    assert learned_by(folded(events, [])).seen == []


def test_names_of_partitions_and_qos_are_known_from_any_event() -> None:
    fold = folded(job_events(frame([job(submit_time=1.0, end_time=9.0, runtime=8.0)])), [])
    columns = job_columns(frame([job(partition="p"), job(partition="new"), job(partition=None)]))
    codes = columns.columns[:, COLUMN["partition_id"]]
    later_s = np.full(3, 5.0)
    assert fold.names.unseen("partition_id", codes, later_s).tolist() == [False, True, False]
    assert empty().names.unseen("partition_id", codes, later_s).tolist() == [False] * 3
    # No job had a QoS: it is nothing that this log tells of.
    assert fold.names.unseen("qos_id", codes, later_s).tolist() == [False] * 3


def test_memory_is_told_in_bytes() -> None:
    small, large = empty(), Fold(JobStore(10_000, 10_000), NothingLearned())
    large.take(ended_events(generate_jobs(2000, seed=1)), 2000)
    assert large.memory_bytes > small.memory_bytes + 2000 * 64


@pytest.mark.parametrize("count", [0, 1])
def test_a_short_piece_is_no_trouble(count: int) -> None:
    fold = empty()
    fold.take(ended_events(generate_jobs(5, seed=1)[:count]), 9)
    assert (len(fold.store), fold.position) == (count, 9)


def test_every_way_in_is_a_client_of_its_own() -> None:
    clients = ["@ipv4", "hooks", None, "@import"]
    learned = FakeLearned()
    fold = Fold(JobStore(1000, 1000), learned)
    jobs = ended_events(generate_jobs(4, seed=1)).with_columns(client=pl.Series(clients))
    fold.take(jobs, 4)
    told = [row[2] for row in learned.seen]
    assert told == [float(NULL_ID if one is None else value_id(one)) for one in clients]
