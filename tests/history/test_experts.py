import threading
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history import eviction, experts
from rt_predictor.history.eviction import EVICTED_SHARE
from rt_predictor.history.experts import (
    GLOBAL,
    SCOPES,
    USER,
    Decays,
    ExpertLosses,
    LossRows,
    bytes_a_row,
    losses_of,
    replay_losses,
)
from rt_predictor.history.key_ids import NO_KEY

EXPERTS = 3
DECAYS = Decays(overall=0.9, user=0.5)


class Jobs:
    """Finished jobs by columns: user, submit, end, losses."""

    def __init__(self, drawn: list[tuple[int, int, int, float]]) -> None:
        users, submit, took, loss = zip(*drawn, strict=True)
        self.users = np.array(users, dtype=np.uint64)
        self.submit_s = np.array(submit, dtype=np.float64)
        self.end_s = self.submit_s + np.array(took)
        of_all = np.array(loss)[:, None] * np.arange(1, EXPERTS + 1)
        self.losses = np.stack((of_all, of_all / 7), axis=1).astype(np.float32)

    def __len__(self) -> int:
        return len(self.users)

    def fold(self, losses: ExpertLosses, rows: slice) -> LossRows:
        return losses.fold(self.users[rows], self.end_s[rows], self.losses[rows])

    def by_end(self) -> "Jobs":
        order = np.argsort(self.end_s, kind="stable")
        for name, values in vars(self).items():
            setattr(self, name, values[order])
        return self


# User 0 is none. Few users and seconds, so that times tie.
some_jobs = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 9), st.floats(0, 1e6)),
    min_size=1,
    max_size=40,
).map(Jobs)
some_cuts = st.lists(st.integers(0, 40), max_size=5).map(lambda cuts: sorted({0, *cuts, 40}))


def sums_by_hand(jobs: Jobs, scope: int, seen: list[int], decay: float) -> np.ndarray:
    """Decayed sums of losses, and of ones, of the jobs in the order given; zeros for none."""
    weights = decay ** np.arange(len(seen))[::-1]
    losses = np.column_stack([jobs.losses[seen, scope].astype(np.float64), np.ones(len(seen))])
    return weights @ losses


@settings(max_examples=100, deadline=None)
@given(some_jobs)
def test_the_sums_are_over_what_had_ended_by_the_submit(jobs: Jobs) -> None:
    found = replay_losses(jobs.users, jobs.submit_s, jobs.end_s, jobs.losses, DECAYS)
    assert found.dtype == np.float32
    by_end = np.argsort(jobs.end_s, kind="stable").tolist()
    for row, (user, submit) in enumerate(zip(jobs.users, jobs.submit_s, strict=True)):
        seen = [place for place in by_end if jobs.end_s[place] <= submit]
        own = [place for place in seen if jobs.users[place] == user != NO_KEY]
        expected = sums_by_hand(jobs, GLOBAL, seen, DECAYS.overall)
        np.testing.assert_allclose(found[row, GLOBAL], expected, rtol=1e-4, atol=1e-30)
        expected = sums_by_hand(jobs, USER, own, DECAYS.user)
        np.testing.assert_allclose(found[row, USER], expected, rtol=1e-4, atol=1e-30)


@settings(max_examples=100, deadline=None)
@given(some_jobs, some_cuts)
def test_folding_piece_by_piece_equals_the_whole_log_bit_for_bit(
    jobs: Jobs, cuts: list[int]
) -> None:
    expected = replay_losses(jobs.users, jobs.submit_s, jobs.end_s, jobs.losses, DECAYS)
    users, submit_s = jobs.users, jobs.submit_s
    losses = ExpertLosses(EXPERTS, 1000, DECAYS)
    jobs.by_end()
    pieces = [jobs.fold(losses, slice(*ends)) for ends in pairwise(cuts)]
    np.testing.assert_array_equal(losses.as_of(users, submit_s), expected)
    whole = ExpertLosses(EXPERTS, 1000, DECAYS)
    rows = jobs.fold(whole, slice(None))
    np.testing.assert_array_equal(np.concatenate([piece.sums for piece in pieces]), rows.sums)


@settings(max_examples=100, deadline=None)
@given(some_jobs, some_cuts, st.integers(0, 30))
def test_what_stands_at_a_time_is_made_of_what_had_ended(
    jobs: Jobs, cuts: list[int], now: int
) -> None:
    """Whatever the order of arrival: losses of jobs that end later do not matter."""
    asked = jobs.users, np.full(len(jobs.users), float(now))
    known = []
    for factor in (1, 7):
        jobs.losses[jobs.end_s > now] *= factor
        losses = ExpertLosses(EXPERTS, 1000, DECAYS)
        for ends in pairwise(cuts):
            jobs.fold(losses, slice(*ends))
        known.append(losses.as_of(*asked))
    np.testing.assert_array_equal(*known)


def folded(*events: tuple[int, float, float], max_events: int = 100) -> ExpertLosses:
    """Losses of one expert after events of (user, end, loss)."""
    losses = ExpertLosses(1, max_events, DECAYS)
    for user, end_s, loss in events:
        losses.fold(
            np.array([user], np.uint64),
            np.array([end_s]),
            np.full((1, SCOPES, 1), loss, np.float32),
        )
    return losses


NOTHING = [[0.0, 0.0], [0.0, 0.0]]


def known(losses: ExpertLosses, user: int, submit_s: float) -> list[list[float]]:
    """The sum of losses, and of ones, in each scope."""
    found: list[list[list[float]]] = losses.as_of(
        np.array([user], np.uint64), np.array([submit_s])
    ).tolist()
    return found[0]


def test_an_event_counts_from_the_second_of_its_end() -> None:
    losses = folded((1, 10.0, 4.0))
    assert known(losses, 1, 10.0) == [[4, 1], [4, 1]]
    assert known(losses, 1, 9.5) == NOTHING


def test_other_users_have_only_the_global_scope() -> None:
    losses = folded((1, 10.0, 4.0), (int(NO_KEY), 11.0, 2.0))
    for other in (2, int(NO_KEY)):
        overall, own = known(losses, other, 20.0)
        assert overall == pytest.approx([2 + 4 * 0.9, 1 + 0.9])
        assert own == NOTHING[USER]


def test_an_event_that_arrives_late_counts_once_all_before_it_had_ended() -> None:
    losses = folded((1, 10.0, 8.0), (2, 100.0, 5.0), (1, 50.0, 2.0))
    # The user's own came in order.
    assert known(losses, 1, 60.0) == [[8, 1], [2 + 8 * 0.5, 1 + 0.5]]
    assert known(losses, 1, 100.0)[GLOBAL] == pytest.approx(
        [2 + 5 * 0.9 + 8 * 0.81, 1 + 0.9 + 0.81]
    )


def test_a_loss_that_is_not_finite_is_refused() -> None:
    losses = ExpertLosses(1, 100)
    with pytest.raises(ValueError, match="not finite"):
        losses.fold(np.ones(1, np.uint64), np.ones(1), np.full((1, SCOPES, 1), np.nan, np.float32))
    assert len(losses) == 0


def test_rows_give_what_stood_after_each_event() -> None:
    losses = ExpertLosses(1, 100, DECAYS)
    rows = losses.fold(
        np.array([1, 0], np.uint64),
        np.array([1.0, 2.0]),
        np.array([[[4], [0.5]], [[1], [0.25]]], np.float32),
    )
    assert len(rows) == len(losses) == 2
    assert rows.sums[0].tolist() == [[4, 1], [0.5, 1]]
    assert rows.sums[1, GLOBAL].tolist() == pytest.approx([1 + 0.9 * 4, 1.9])
    assert np.isnan(rows.sums[1, USER]).all()


@settings(max_examples=60, deadline=None)
@given(some_jobs, some_cuts, st.integers(1, 20))
def test_beyond_the_limit_the_rows_that_arrived_first_go(
    jobs: Jobs, cuts: list[int], max_events: int
) -> None:
    jobs.by_end()
    losses, everything = (ExpertLosses(EXPERTS, limit, DECAYS) for limit in (max_events, 1000))
    with mock.patch.object(eviction, "EVICTION_EVERY", 3):
        for ends in pairwise(cuts):
            jobs.fold(losses, slice(*ends))
        jobs.fold(everything, slice(cuts[-1]))
    kept = 0
    for number in range(count := len(everything)):
        if number % 3 == 0 and kept > max_events:
            kept = max(int(max_events * (1 - EVICTED_SHARE)), 1)
        kept += 1
    assert len(losses) == kept <= max_events + 3
    if not kept:
        return
    first_s = jobs.end_s[count - kept]
    found, expected = (x.as_of(jobs.users, jobs.submit_s) for x in (losses, everything))
    visible = jobs.submit_s >= first_s  # a user who was forgotten starts anew: only GLOBAL is equal
    np.testing.assert_array_equal(found[visible, GLOBAL], expected[visible, GLOBAL])
    assert not found[jobs.submit_s < first_s].any()


@settings(max_examples=60, deadline=None)
@given(some_jobs, some_cuts, st.integers(1, 20))
def test_many_jobs_are_told_what_each_is_told_alone(
    jobs: Jobs, cuts: list[int], max_events: int
) -> None:
    losses = ExpertLosses(EXPERTS, max_events, DECAYS)
    with mock.patch.object(eviction, "EVICTION_EVERY", 3):
        for ends in pairwise(cuts):
            jobs.fold(losses, slice(*ends))
    asked = [(jobs.users[row : row + 1], jobs.submit_s[row : row + 1]) for row in range(len(jobs))]
    alone = np.concatenate([losses.as_of(*one) for one in asked])
    with mock.patch.object(experts, "_FEW_JOBS", 0):
        np.testing.assert_array_equal(losses.as_of(jobs.users, jobs.submit_s), alone)


def test_a_user_whose_rows_are_gone_starts_anew() -> None:
    others = [(2, float(end), 1.0) for end in range(2, 20)]
    with mock.patch.object(eviction, "EVICTION_EVERY", 1):
        losses = folded((1, 1.0, 100.0), *others, (1, 30.0, 6.0), max_events=10)
    assert known(losses, 1, 40.0)[USER] == [6, 1]


@settings(max_examples=60, deadline=None)
@given(some_jobs, st.integers(0, 40), st.integers(1, 50))
def test_restored_losses_go_on_as_if_nothing_had_happened(
    jobs: Jobs, cut: int, max_events: int
) -> None:
    losses = ExpertLosses(EXPERTS, max_events, DECAYS)
    jobs.fold(losses, slice(cut))
    restored = ExpertLosses.restored(losses.rows(), losses.arrived, max_events, DECAYS)
    for each in (losses, restored):
        jobs.fold(each, slice(cut, None))
    asked = jobs.users, jobs.submit_s
    np.testing.assert_array_equal(restored.as_of(*asked), losses.as_of(*asked))


def test_losses_are_restored_within_a_smaller_limit() -> None:
    losses = folded(*((1, float(end), float(end)) for end in range(20)))
    restored = ExpertLosses.restored(losses.rows(), 20, 6, DECAYS)
    restored.evict()
    assert len(restored) == 5
    assert known(restored, 1, 19.0) == known(losses, 1, 19.0)
    assert known(restored, 1, 14.0) == NOTHING


def test_pieces_in_which_events_are_folded_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    jobs = Jobs([(*map(int, rng.integers(0, 50, 3)), loss) for loss in rng.random(3000)]).by_end()
    asked = jobs.users, jobs.submit_s, jobs.end_s, jobs.losses
    at_once = replay_losses(*asked)
    monkeypatch.setattr(experts, "FOLDED_EVENTS", 17)
    np.testing.assert_array_equal(replay_losses(*asked), at_once)


def test_a_row_takes_the_memory_that_is_documented() -> None:
    losses = ExpertLosses(6, 100_000)
    for _ in range(5):
        losses.fold(np.ones(4001, np.uint64), np.ones(4001), np.ones((4001, SCOPES, 6), np.float32))
    mine = losses._users[1]
    lists = sum(values.buffer_info()[1] * values.itemsize for values in vars(mine).values())
    assert lists + losses._sums.nbytes + losses._visible_s.nbytes <= len(losses) * bytes_a_row(6)


@mock.patch.object(eviction, "EVICTION_EVERY", 64)
def test_readers_see_only_rows_that_were_folded() -> None:
    jobs = Jobs([(1, 0, end, float(end % 13)) for end in range(600)])
    asked = np.array([1, 1], np.uint64), np.array([1e6, 250.0])
    expected = ExpertLosses(EXPERTS, 200, DECAYS)
    losses = ExpertLosses(EXPERTS, 200, DECAYS)
    possible = {expected.as_of(*asked).tobytes()}
    for row in range(600):
        jobs.fold(expected, slice(row, row + 1))
        possible.add(expected.as_of(*asked).tobytes())
    seen: list[set[bytes]] = []
    done = threading.Event()
    start = threading.Barrier(3)

    def read() -> None:
        mine = set()
        start.wait()
        while not done.is_set():
            mine.add(losses.as_of(*asked).tobytes())
        seen.append(mine)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    start.wait()
    for row in range(600):
        jobs.fold(losses, slice(row, row + 1))
    assert len(losses) < 600, "nothing was evicted"
    done.set()
    for reader in readers:
        reader.join()
    assert len(seen) == 2
    assert set().union(*seen) <= possible


def test_the_loss_of_all_jobs_is_in_seconds_and_that_of_a_user_is_a_share() -> None:
    answers = np.array([[100, 50, 400]], np.float32)
    (found,) = losses_of(answers, np.array([100], np.float32))
    np.testing.assert_allclose(found, [[0, 50, 300], [0, 0.5, 0.75]])
