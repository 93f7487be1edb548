"""Laws of prediction with expert advice: the weights, the weighted median, and what bounds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rt_predictor.history.experts import DECAYS, GLOBAL, SCOPES, USER
from rt_predictor.training.combine import (
    EXPERTS,
    LIMIT_CAPS,
    MIN_RUNTIME_S,
    PRIOR_JOBS,
    SHARPNESS,
    Combination,
    Recent,
    choose_cap,
    expert_weights,
    reference_s,
    weighted_median,
)
from rt_predictor.training.members import MEMBERS

NAN = float("nan")
PRIOR = np.array([[100.0, 200.0, 400.0], [0.2, 0.4, 0.8]])
K = PRIOR.shape[1]
JOBS = 5


def values(columns: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, (JOBS, columns), elements=st.floats(1, 1e8))


def positive_weights(columns: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, (JOBS, columns), elements=st.floats(1e-6, 1))


def float32(*seconds: float) -> np.ndarray:
    return np.array(seconds, np.float32)


def nothing() -> np.ndarray:
    return np.zeros((1, SCOPES, K + 1), np.float32)


@given(values(7), positive_weights(7))
def test_the_median_is_what_one_of_the_experts_says(said: np.ndarray, weights: np.ndarray) -> None:
    found = weighted_median(said, weights)
    assert (said == found[:, None]).any(axis=1).all()


@given(values(7), positive_weights(7))
def test_at_least_half_of_the_weight_lies_on_either_side(
    said: np.ndarray, weights: np.ndarray
) -> None:
    found = weighted_median(said, weights)[:, None]
    half = weights.sum(axis=1) / 2 * (1 - 1e-12)
    for side in (said <= found, said >= found):
        assert ((side * weights).sum(axis=1) >= half).all()


@given(values(7), st.integers(0, 6))
def test_all_weight_on_one_expert_gives_what_it_says(said: np.ndarray, chosen: int) -> None:
    weights = np.zeros_like(said)
    weights[:, chosen] = 0.3
    np.testing.assert_array_equal(weighted_median(said, weights), said[:, chosen])


@given(values(7))
def test_equal_weights_of_an_odd_number_give_the_plain_median(said: np.ndarray) -> None:
    np.testing.assert_array_equal(
        weighted_median(said, np.ones_like(said)), np.median(said, axis=1)
    )


@given(values(7), positive_weights(7), st.permutations(range(7)))
def test_the_order_of_experts_does_not_matter(
    said: np.ndarray, weights: np.ndarray, order: list[int]
) -> None:
    weights = np.ceil(weights * 64)  # sums of whole numbers are exact in any order
    np.testing.assert_array_equal(
        weighted_median(said, weights), weighted_median(said[:, order], weights[:, order])
    )


def weights_of(*relative_losses: float) -> np.ndarray:
    """Weights of experts whose losses are so many times the best one's, on average over scopes."""
    losses = np.array(relative_losses)
    return np.exp(-SHARPNESS * (losses - losses.min()))


def test_before_any_job_has_ended_the_prior_decides() -> None:
    (weights,) = expert_weights(nothing(), PRIOR)
    np.testing.assert_allclose(weights, weights_of(1, 2, 4))


@given(
    arrays(np.float32, (JOBS, SCOPES, K + 1), elements=st.floats(0, 2**30, width=32)),
    arrays(np.float64, (SCOPES, K), elements=st.floats(0, 1e7)),
)
def test_the_best_expert_has_weight_one_and_no_other_more(
    sums: np.ndarray, prior: np.ndarray
) -> None:
    weights = expert_weights(sums, prior)
    assert (weights.max(axis=1) == 1).all()
    assert (weights >= 0).all()


def test_losses_on_many_jobs_overrule_the_prior() -> None:
    sums = nothing()
    sums[0, GLOBAL] = 1e6 * float32(400, 200, 1, 1)
    sums[0, USER] = 1e6 * float32(0.8, 0.4, 0.2, 1)
    (weights,) = expert_weights(sums, PRIOR)
    assert weights.argmax() == 2
    assert weights[0] < 0.01


def test_a_users_own_losses_count_as_much_as_those_of_all() -> None:
    sums = nothing()
    sums[0, USER] = 1e6 * float32(0.8, 0.4, 0.2, 1)
    (weights,) = expert_weights(sums, PRIOR)
    np.testing.assert_allclose(
        weights, weights_of((1 + 4) / 2, (2 + 2) / 2, (4 + 1) / 2), rtol=1e-4
    )


def test_few_jobs_weigh_little_beside_the_prior() -> None:
    sums = nothing()
    sums[0, GLOBAL] = float32(500, 0, 0, PRIOR_JOBS[GLOBAL])
    sums[0, USER] = float32(0, 0, 0, PRIOR_JOBS[USER])
    (weights,) = expert_weights(sums, PRIOR)
    overall = (np.array([500.0, 0, 0]) + PRIOR_JOBS[GLOBAL] * PRIOR[GLOBAL]) / (
        2 * PRIOR_JOBS[GLOBAL]
    )
    own = PRIOR[USER] / 2
    relative = (overall / overall.min() + own / own.min()) / 2
    np.testing.assert_allclose(weights, weights_of(*relative), rtol=1e-6)


def test_losses_too_small_to_matter_are_all_alike() -> None:
    prior = np.array([[0.0, 1e-9, 1.0], [0.0, 0.01, 0.05]])
    (weights,) = expert_weights(nothing(), prior)
    np.testing.assert_array_equal(weights, [1, 1, 1])


def test_one_bad_answer_does_not_outweigh_a_users_many_good_ones() -> None:
    """The first job of a user: a rule can but say the limit, a day, where the job took 20 min."""
    decay, losses = DECAYS.user, [1 - 1200 / 86_400] + 8 * [0.0]
    copies = trees = weight = 0.0
    for loss in losses:
        copies, trees, weight = copies * decay + loss, trees * decay + 0.6, weight * decay + 1
    sums = nothing()
    sums[0, USER] = float32(copies, trees, trees, weight)
    prior = np.array([[2e4, 1.8e4, 1.8e4], [0.5, 0.5, 0.5]])
    (weights,) = expert_weights(sums, prior)
    assert weights[0] == 1
    assert weights[1:].sum() < 1


@pytest.mark.parametrize(
    ("recent", "limit", "expected"),
    [
        (50.0, 100.0, 50.0),
        (500.0, 100.0, 100.0),  # no more than the limit
        (NAN, 100.0, 100.0),  # nothing is known: the limit
        (50.0, NAN, 50.0),  # no limit
        (NAN, NAN, 700.0),  # nothing at all: what is typical
        (0.25, 100.0, MIN_RUNTIME_S),
        (50.0, 0.5, MIN_RUNTIME_S),
    ],
)
def test_the_reference_is_what_alike_jobs_took_else_the_limit_else_typical(
    recent: float, limit: float, expected: float
) -> None:
    found = reference_s(Recent(float32(recent), float32(recent)), np.array([limit]), 700.0)
    assert found.dtype == np.float32
    assert found.tolist() == [expected]


def combination(cap: float | None, longest_s: float = 5000.0) -> Combination:
    return Combination(cap, longest_s, 700.0, (1.0,) * len(EXPERTS))


def said_by_all(seconds: float) -> np.ndarray:
    return np.full((1, len(MEMBERS)), seconds)


def test_rules_follow_the_members_and_without_a_last_run_say_the_reference() -> None:
    found = combination(1.0).experts_s(
        np.repeat(said_by_all(33.0), 2, axis=0),
        Recent(float32(40, NAN), float32(90, NAN)),
        np.array([100.0, 100.0]),
    )
    rules = found[:, len(MEMBERS) :]
    assert rules.tolist() == [[40, 90], [100, 100]]
    assert (found[:, : len(MEMBERS)] == 33).all()


@settings(deadline=None)
@given(
    members=arrays(np.float64, (JOBS, len(MEMBERS)), elements=st.floats(-1e9, 1e9)),
    recent=arrays(
        np.float32, JOBS, elements=st.one_of(st.floats(0, 2**27, width=32), st.just(NAN))
    ),
    limit=arrays(np.float64, JOBS, elements=st.one_of(st.floats(1, 1e8), st.just(NAN))),
    cap=st.sampled_from([*LIMIT_CAPS, None]),
)
def test_every_answer_is_positive_and_below_the_cap(
    members: np.ndarray, recent: np.ndarray, limit: np.ndarray, cap: float | None
) -> None:
    combined = combination(cap)
    experts = combined.experts_s(members, Recent(recent, recent), limit)
    answer = combined.answer_s(experts, np.zeros((JOBS, SCOPES, len(EXPERTS) + 1), np.float32))
    for found in (experts, answer[:, None]):
        assert (found >= MIN_RUNTIME_S).all()
        assert (found <= combined.cap(limit)[:, None]).all()


def test_a_job_without_a_limit_is_capped_at_the_longest_runtime() -> None:
    recent = Recent(float32(NAN), float32(NAN))
    found = combination(1.0).experts_s(said_by_all(9e9), recent, np.array([NAN]))
    assert found[0, 0] == 5000


def test_where_limits_are_enforced_the_cap_is_the_limit() -> None:
    limit = np.full(300, 100.0)
    assert choose_cap(np.full((300, 3), 150.0), limit, limit) == 1.0


def test_where_jobs_run_a_little_past_their_limits_the_cap_leaves_room_for_it() -> None:
    limit = np.full(300, 1000.0)
    assert choose_cap(np.full((300, 3), 9000.0), limit, np.full(300, 1050.0)) == 1.05


def test_where_limits_are_not_enforced_there_is_no_cap() -> None:
    limit, runtime = np.full(300, 100.0), np.full(300, 900.0)
    assert choose_cap(np.full((300, 3), 900.0), limit, runtime) is None
