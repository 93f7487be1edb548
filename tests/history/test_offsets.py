from dataclasses import replace
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history import eviction
from rt_predictor.history.offsets import (
    OffsetRows,
    OffsetState,
    Scored,
    TailOffsets,
    replay_offsets,
)

SHARES = (0.25, 0.05)
START = OffsetState(np.array([[0.0, 0.1], [0.2, -0.1]]), np.array([0.0, 40.0]), np.zeros(2))


def scored(drawn: list[tuple[int, int, int, float]], weight: float = 1.0) -> Scored:
    """Jobs of (group, submit, seconds to the end, score)."""
    groups, submit, took, score = zip(*drawn, strict=True)
    submit_s = np.array(submit, dtype=np.float64)
    scores = np.array(score)[:, None] * np.array([1.0, -2.0])
    weights = np.full(len(groups), weight)
    return Scored(np.array(groups), submit_s, submit_s + np.array(took), scores, weights)


# Few seconds, so that times tie.
some_jobs = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20), st.integers(0, 9), st.floats(-1, 1)),
    min_size=1,
    max_size=40,
).map(scored)
some_cuts = st.lists(st.integers(0, 40), max_size=5).map(lambda cuts: sorted({0, *cuts, 40}))


def by_end(jobs: Scored) -> Scored:
    return jobs.take(np.argsort(jobs.end_s, kind="stable"))


def folded(jobs: Scored, max_rows: int = 1000) -> TailOffsets:
    offsets = TailOffsets(START, SHARES, max_rows)
    offsets.fold(jobs)
    return offsets


def assert_same(rows: OffsetRows, expected: OffsetRows) -> None:
    for name in ("groups", "visible_s", "states"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(expected, name))


@settings(max_examples=100, deadline=None)
@given(some_jobs, some_cuts)
def test_folding_piece_by_piece_equals_the_replay_of_the_whole_log(
    jobs: Scored, cuts: list[int]
) -> None:
    known, state = replay_offsets(jobs, START, SHARES)
    assert known.dtype == np.float32
    offsets, ordered = TailOffsets(START, SHARES, 1000), by_end(jobs)
    for start, stop in pairwise(cuts):
        offsets.fold(ordered.take(slice(start, stop)))
    np.testing.assert_array_equal(offsets.as_of(jobs.groups, jobs.submit_s), known)
    np.testing.assert_array_equal(offsets.state.table(), state.table())


@settings(max_examples=100, deadline=None)
@given(some_jobs, some_cuts)
def test_bulk_replay_equals_asking_and_folding_one_job_at_a_time(
    jobs: Scored, cuts: list[int]
) -> None:
    """As a service lives: asked at each submit, told at each end, restarted now and then."""
    known, _ = replay_offsets(jobs, START, SHARES)
    offsets, ordered = TailOffsets(START, SHARES, 1000), by_end(jobs)
    told = 0
    for place in np.argsort(jobs.submit_s, kind="stable").tolist():
        now = jobs.submit_s[place]
        while told < len(ordered) and ordered.end_s[told] <= now:
            offsets.fold(ordered.take(slice(told, told + 1)))
            told += 1
            if told in cuts:
                offsets = TailOffsets.restored(offsets.rows(), offsets.arrived, SHARES, 1000)
        asked = jobs.groups[place : place + 1], jobs.submit_s[place : place + 1]
        np.testing.assert_array_equal(offsets.as_of(*asked)[0], known[place])


@settings(max_examples=100, deadline=None)
@given(some_jobs, st.integers(0, 30))
def test_what_stands_at_a_time_is_made_of_what_had_ended(jobs: Scored, now: int) -> None:
    """Whatever the order of arrival: scores of jobs that end later do not matter."""
    asked = jobs.groups, np.full(len(jobs), float(now))
    later = np.where(jobs.end_s > now, -3.0, 1.0)[:, None]
    changed = replace(jobs, scores=jobs.scores * later)
    np.testing.assert_array_equal(folded(jobs).as_of(*asked), folded(changed).as_of(*asked))


@settings(max_examples=50, deadline=None)
@given(some_jobs, some_cuts)
def test_rows_that_go_go_at_set_places_of_the_log(jobs: Scored, cuts: list[int]) -> None:
    with mock.patch.object(eviction, "EVICTION_EVERY", 4):
        ordered = by_end(jobs)
        whole, pieces = folded(ordered, 5), TailOffsets(START, SHARES, 5)
        for start, stop in pairwise(cuts):
            pieces.fold(ordered.take(slice(start, stop)))
            pieces = TailOffsets.restored(pieces.rows(), pieces.arrived, SHARES, 5)
        assert_same(pieces.rows(), whole.rows())
        assert len(whole) <= 2 * (5 + 4)


def test_before_the_first_outcome_stands_what_calibration_gave() -> None:
    offsets = TailOffsets(START, SHARES, 10)
    asked = np.array([1, 0, 1])
    found = offsets.as_of(asked, np.full(3, 5.0))
    np.testing.assert_array_equal(found, START.offsets[asked].astype(np.float32))
    assert (len(offsets), offsets.arrived) == (2, 0)


def test_a_miss_widens_and_a_hit_narrows_only_its_own_group() -> None:
    one = replace(scored([(0, 0, 1, 0.0)]), scores=np.array([[0.5, -0.5]]))
    moved = folded(one).state.offsets - START.offsets
    assert moved[0, 0] > 0 > moved[0, 1]
    assert moved[0, 0] / -moved[0, 1] == pytest.approx((1 - SHARES[0]) / SHARES[1])
    np.testing.assert_array_equal(moved[1], [0, 0])


def test_an_outcome_counts_by_what_the_job_was_told() -> None:
    """A score between the offset at submit and the one at the end is a miss."""
    first = [(0, 0, 1, 0.9)] * 20
    _, before = replay_offsets(scored(first), START, SHARES)
    told, now = START.offsets[0, 0], before.offsets[0, 0]
    assert told < now
    _, after = replay_offsets(scored([*first, (0, 0, 2, (told + now) / 2)]), START, SHARES)
    assert after.offsets[0, 0] > now


def test_an_outcome_counts_by_its_weight() -> None:
    full, half = (folded(scored([(0, 0, 1, 0.9)], weight)).state for weight in (1.0, 0.5))
    moved = full.offsets - START.offsets
    np.testing.assert_allclose(half.offsets - START.offsets, moved / 2)
    np.testing.assert_array_equal(full.counts, half.counts)


def test_late_feedback_is_taken_in_smaller_steps() -> None:
    def last_step(submit: int) -> float:
        jobs = [(0, second, 1, -0.5) for second in range(2000)]
        rows = folded(scored([*jobs, *[(0, submit, 3000 - submit, 0.9)] * 500])).rows()
        return float(np.ptp(rows.states[rows.groups == 0][-2:, 0]))

    assert last_step(submit=0) < 0.7 * last_step(submit=1999)


@pytest.mark.parametrize("lateness_s", [1.0, 400.0])
def test_the_promised_share_is_kept_when_runtimes_change(lateness_s: float) -> None:
    """Scores move by half of their range in mid-stream; 3,000 jobs later the share is back."""
    count = 16_000
    rng = np.random.default_rng(5)
    scores = rng.normal(0, 0.1, (count, 2)) + 0.25 * (np.arange(count) >= count // 2)[:, None]
    submit_s = np.arange(count, dtype=np.float64)
    groups, weights = np.zeros(count, np.int64), np.ones(count)
    jobs = Scored(groups, submit_s, submit_s + lateness_s, scores, weights)
    known, _ = replay_offsets(jobs, START, SHARES)
    missed = scores > known
    for span in (slice(3000, 8000), slice(11_000, count)):
        np.testing.assert_allclose(missed[span].mean(axis=0), SHARES, atol=0.03)
    assert missed[8000:8100].mean(axis=0)[1] > 0.3  # it was a change that had to be followed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite: leave such jobs out"):
        replace(scored([(0, 0, 1, 0.0)]), scores=np.array([[bad, 0.0]]))


def test_states_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one number for each group"):
        OffsetState(np.zeros((2, 2)), np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="must be finite"):
        OffsetState(np.full((1, 2), np.nan), np.zeros(1), np.zeros(1))
    with pytest.raises(ValueError, match="2 offsets a group, but 3 tails"):
        TailOffsets(START, (0.1, 0.1, 0.1), 10)


def test_more_rows_than_there_is_room_for_at_first_are_kept() -> None:
    jobs = scored([(0, second, 1, 0.1) for second in range(3000)])
    assert len(folded(jobs, 5000)) == 3002
    np.testing.assert_array_equal(folded(jobs, 5000).rows().visible_s[1:3001], jobs.end_s)
