"""What is folded depends on the log alone, and is judged by what could be known."""

from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.features.declared import REQUEST_INPUTS
from rt_predictor.history import eviction, live
from rt_predictor.history.experts import GLOBAL, Decays
from rt_predictor.history.fold import Fold
from rt_predictor.history.judge import NO_OFFSETS, NoExperts
from rt_predictor.history.key_ids import USER_KEY, key_ids
from rt_predictor.history.replay import LogHistory, user_runs
from rt_predictor.jobs.events import ended_events
from rt_predictor.model.bounds import history_group
from rt_predictor.model.ports import GraphInputs
from rt_predictor.model.said import Said
from rt_predictor.traces.generate import generate_jobs
from tests.history.fakes import FakeJudge
from tests.history.jobs import Job, column, frame, job, some_jobs


def empty(judge: FakeJudge | NoExperts, max_events: int = 1000, max_keys: int = 1000) -> Fold:
    return Fold.empty(judge, max_events, max_keys)


def features_judged(fold: Fold) -> np.ndarray:
    """What the judge was told of history, one row an event."""
    assert isinstance(fold.model.judge, FakeJudge)
    return np.concatenate(fold.model.judge.features)


def folded(jobs: list[Job], cuts: list[int], **limits: int) -> Fold:
    fold, position = empty(FakeJudge(), **limits), 0
    for cut in sorted({*cuts, len(jobs)}):
        if position < cut <= len(jobs):
            fold.take(ended_events(frame(*jobs[position:cut])), cut)
            position = cut
    return fold


def knowledge(fold: Fold, asked: pl.DataFrame) -> list[bytes]:
    ids, submit_s = key_ids(asked), asked["submit_time"].to_numpy()
    features = fold.store.features_at(ids, submit_s)
    losses = fold.model.losses.as_of(ids[:, USER_KEY], submit_s)
    offsets = fold.model.offsets.as_of(history_group(user_runs(features)), submit_s)
    of_late = fold.model.live
    known = (features, losses, offsets, of_late.sums, of_late.counts, np.array(of_late.jobs))
    return [array.tobytes() for array in known]


some_cuts = st.lists(st.integers(0, 60), max_size=20)


@settings(max_examples=60, deadline=None)
@given(some_jobs, some_cuts, st.integers(2, 40), st.integers(5, 60))
def test_what_is_folded_does_not_depend_on_how_the_log_was_cut(
    jobs: list[Job], cuts: list[int], max_events: int, max_keys: int
) -> None:
    with (
        mock.patch.object(eviction, "EVICTION_EVERY", 7),
        mock.patch.object(live, "_BLOCK_JOBS", 5),
    ):
        limits = {"max_events": max_events, "max_keys": max_keys}
        whole, one_by_one, cut = (
            folded(jobs, each, **limits) for each in ([], list(range(61)), cuts)
        )
        asked = frame(*jobs)
        asked = pl.concat([asked, asked.with_columns(submit_time=pl.lit(1e6))])
        expected = knowledge(whole, asked)
        for fold in (one_by_one, cut):
            assert knowledge(fold, asked) == expected
            assert fold.position == whole.position == len(jobs)
            np.testing.assert_array_equal(features_judged(fold), features_judged(whole))


@settings(max_examples=60, deadline=None)
@given(some_jobs)
def test_an_event_is_judged_by_what_came_before_it_and_had_ended(jobs: list[Job]) -> None:
    fold = folded(jobs, [])
    seen = features_judged(fold)
    for place, event in enumerate(jobs):
        before = frame(*(other for other in jobs[:place]))
        expected = LogHistory(before).features(frame(event))
        np.testing.assert_array_equal(seen[place : place + 1], expected)


def test_a_job_that_ends_in_the_second_another_is_submitted_is_seen_if_it_came_first() -> None:
    first = job(user="ann", submit_time=0.0, end_time=10.0, runtime=10.0)
    second = job(user="ann", submit_time=10.0, end_time=30.0, runtime=7.0)
    for jobs, seen in (([first, second], [0, 1]), ([second, first], [0, 0])):
        fold = folded(jobs, [])
        runs = column(features_judged(fold), "user", "runs")
        assert runs.tolist() == seen


def test_events_in_the_order_of_their_end_are_judged_together() -> None:
    events = generate_jobs(3000, seed=2).sort("end_time")
    judge = FakeJudge()
    Fold.empty(judge, 10_000, 10_000).take(ended_events(events), 3000)
    assert judge.asked == [3000]


def test_an_event_that_breaks_a_rule_is_passed_over() -> None:
    good = [job(submit_time=float(n), end_time=n + 5.0, runtime=5.0) for n in range(3)]
    bad = job(submit_time=1.0, end_time=5.0, runtime=-1.0)
    fold = empty(NoExperts())
    fold.take(ended_events(frame(*good, bad)), 4)
    assert (len(fold.store), fold.position) == (3, 4)


def test_an_event_on_which_the_model_fails_counts_for_features_alone() -> None:
    jobs = [
        job(job_name=name, submit_time=float(n), end_time=n + 50.0, runtime=50.0)
        for n, name in enumerate(["a", "poison", "c", "d", "nan"])
    ]
    fold = folded(jobs, [])
    assert (len(fold.store), len(fold.model.losses), fold.model.offsets.arrived) == (5, 3, 3)
    one_by_one = folded(jobs, list(range(6)))
    asked = frame(job(submit_time=1e6))
    assert knowledge(fold, asked) == knowledge(one_by_one, asked)


def test_an_event_of_which_the_model_cannot_say_what_it_told_is_not_watched() -> None:
    class Silent(FakeJudge):
        def said(self, given: GraphInputs) -> Said:
            if (column(given.inputs[:, len(REQUEST_INPUTS) :], "user", "runs") == 2).any():
                raise RuntimeError("a model that fails")
            return super().said(given)

    jobs = [job(submit_time=100.0 * n, end_time=100.0 * n + 50, runtime=50.0) for n in range(5)]
    fold = empty(Silent())
    fold.take(ended_events(frame(*jobs)), 5)
    assert (len(fold.model.losses), fold.model.live.jobs) == (5, 4)


def test_a_job_is_watched_by_what_it_was_told_at_its_submit() -> None:
    first = job(submit_time=0.0, end_time=50.0, runtime=50.0)
    told_before = job(submit_time=10.0, end_time=60.0, runtime=50.0)
    told_after = job(submit_time=50.0, end_time=110.0, runtime=50.0)
    asked = []

    class Attentive(FakeJudge):
        def said(self, given: GraphInputs) -> Said:
            asked.extend(given.expert_losses[:, GLOBAL, -1].tolist())
            return super().said(given)

    fold = empty(Attentive())
    fold.take(ended_events(frame(first, told_before, told_after)), 3)
    assert asked == [0, 0, 1]


def test_a_model_without_experts_folds_no_losses() -> None:
    fold = empty(NoExperts())
    fold.take(ended_events(generate_jobs(20, seed=1)), 20)
    assert fold.model.figures.jobs == 0
    known = fold.model.losses.as_of(np.array([1], np.uint64), np.array([1e12]))
    assert known.shape == (1, 2, 1)


def test_memory_is_told_in_bytes() -> None:
    small, large = (empty(FakeJudge()) for _ in range(2))
    large.take(ended_events(generate_jobs(500, seed=1)), 500)
    assert small.memory_bytes < 1000
    assert large.memory_bytes > 500 * 48


def test_the_judge_says_how_fast_its_losses_are_forgotten() -> None:
    judge = FakeJudge(decays=Decays(0.5, 0.25))
    assert Fold.empty(judge, 10, 10).model.losses.decays == Decays(0.5, 0.25)


@pytest.mark.parametrize("count", [0, 1])
def test_a_short_piece_is_no_trouble(count: int) -> None:
    fold = empty(FakeJudge())
    fold.take(ended_events(generate_jobs(5, seed=1)[:count]), 9)
    assert (len(fold.store), fold.position) == (count, 9)


def test_what_outcomes_teach_of_intervals_is_known_from_the_end_of_their_jobs() -> None:
    jobs = [job(submit_time=float(n), end_time=n + 50.0, runtime=50.0) for n in range(9)]
    fold = folded(jobs, [])
    group = np.array([0])
    before, after = (fold.model.offsets.as_of(group, np.array([at])) for at in (49.0, 50.0))
    np.testing.assert_array_equal(before, NO_OFFSETS.offsets[:1].astype(np.float32))
    assert (before != after).all()
