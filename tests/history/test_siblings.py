"""Many jobs of a user that are under way at once count as few; jobs one after the other in full."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history import eviction
from rt_predictor.history.experts import SCOPES, ExpertLosses
from rt_predictor.history.key_ids import NO_KEY
from rt_predictor.history.siblings import outcome_weights, replayed_siblings

some_jobs = st.lists(
    st.tuples(st.sampled_from([NO_KEY, 1, 2]), st.integers(0, 20), st.integers(1, 9)),
    min_size=1,
    max_size=40,
)
Drawn = list[tuple[int, int, int]]


def columns(drawn: Drawn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users, submits and ends, in the order of the ends."""
    users, submit, took = zip(*sorted(drawn, key=lambda job: job[1] + job[2]), strict=True)
    submit_s = np.array(submit, dtype=np.float64)
    return np.array(users, dtype=np.uint64), submit_s, submit_s + np.array(took)


@given(some_jobs)
def test_siblings_are_others_of_the_user_that_came_before_and_had_not_ended_at_the_submit(
    drawn: Drawn,
) -> None:
    users, submit_s, end_s = columns(drawn)
    expected = [
        sum(users[other] == user and end_s[other] > submit_s[place] for other in range(place))
        if user != NO_KEY
        else 0
        for place, user in enumerate(users)
    ]
    np.testing.assert_array_equal(replayed_siblings(users, submit_s, end_s), expected)


@settings(deadline=None)
@given(some_jobs, st.randoms(use_true_random=False))
def test_a_log_may_be_given_in_any_order(drawn: Drawn, random: "st.random.Random") -> None:
    users, submit_s, end_s = columns(drawn)
    end_s += np.arange(len(end_s)) / 100  # no two in the same moment
    order = np.array(random.sample(range(len(drawn)), len(drawn)))
    found = replayed_siblings(users[order], submit_s[order], end_s[order])
    np.testing.assert_array_equal(found, replayed_siblings(users, submit_s, end_s)[order])


@settings(deadline=None)
@given(some_jobs)
def test_siblings_do_not_depend_on_the_pieces_in_which_outcomes_come(drawn: Drawn) -> None:
    users, submit_s, end_s = columns(drawn)
    losses = np.zeros((len(users), SCOPES, 1), dtype=np.float32)
    with mock.patch.object(eviction, "EVICTION_EVERY", 10**6):
        pieces = ExpertLosses(1, 1000)
        found = []
        for place in range(len(users)):
            one = slice(place, place + 1)
            pieces.fold(users[one], end_s[one], losses[one])
            found += pieces.siblings(users[one], submit_s[one]).tolist()
    np.testing.assert_array_equal(found, replayed_siblings(users, submit_s, end_s))


def test_a_burst_counts_as_few_and_jobs_one_after_the_other_in_full() -> None:
    alone = outcome_weights(np.zeros(100, np.int64), np.full(100, 2))
    burst = outcome_weights(np.arange(1000), np.full(1000, 2))
    assert alone.sum() == 100
    assert burst[0] == 1
    assert (np.diff(burst) < 0).all()
    assert burst.sum() == pytest.approx(30 * np.log(1 + 1000 / 30), rel=0.02)


def test_jobs_of_users_without_history_count_in_full() -> None:
    found = outcome_weights(np.array([1000, 1000]), np.array([0, 1]))
    assert found[0] == 1
    assert found[1] < 0.05
