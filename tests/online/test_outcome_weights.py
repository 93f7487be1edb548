"""No user or client exceeds its share; weights do not depend on the pieces of the log."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history.value_ids import NULL_ID
from rt_predictor.online.influence import LEAST_SHARE, TRUSTED_S
from rt_predictor.online.outcome_weights import HALF_LIFE_JOBS, OutcomeWeights

NULL = np.uint64(NULL_ID)


def ids(numbers: np.ndarray) -> np.ndarray:
    return numbers.astype(np.uint64) + np.uint64(1)


def nobody(_: int) -> bool:
    """Trust no client."""
    return False


def ends(count: int, gap_s: float = 60.0) -> np.ndarray:
    return np.arange(count) * gap_s


def beside_a_trusted_one(users: np.ndarray, clients: np.ndarray) -> np.ndarray:
    """Weights where client 8 is trusted."""
    return OutcomeWeights(lambda client: client == 8).weigh(users, clients, ends(len(users)))


def reported_by(client: int, count: int) -> np.ndarray:
    return np.full(count, client, dtype=np.uint64)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 1500), max_size=8))
def test_weights_do_not_depend_on_the_pieces(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    users = ids(rng.geometric(0.3, 1500))
    clients = np.array([NULL, 7, 8], np.uint64)[rng.integers(0, 3, 1500)]
    whole = OutcomeWeights(nobody).weigh(users, clients, ends(1500))
    cut, weights = OutcomeWeights(nobody), []
    for start, stop in pairwise(sorted({0, 1500, *cuts})):
        cut = OutcomeWeights.of(cut.arrays(), nobody)
        weights.append(cut.weigh(users[start:stop], clients[start:stop], ends(1500)[start:stop]))
    np.testing.assert_array_equal(np.concatenate(weights), whole)


def test_one_of_many_users_has_at_most_a_twentieth() -> None:
    rng = np.random.default_rng(0)
    loud = rng.random(20_000) < 0.9
    users = ids(np.where(loud, 0, rng.integers(1, 60, 20_000)))
    weights = OutcomeWeights(nobody).weigh(users, np.full(20_000, NULL), ends(20_000))[10_000:]
    share = weights[loud[10_000:]].sum() / weights.sum()
    assert LEAST_SHARE / 2 < share < LEAST_SHARE * 1.1


@pytest.mark.parametrize("users", [1, 2, 5])
def test_few_users_of_equal_weight_count_in_full(users: int) -> None:
    numbers = np.arange(10_000) % users
    weights = OutcomeWeights(nobody).weigh(ids(numbers), np.full(10_000, NULL), ends(10_000))
    assert weights[5000:].mean() > 0.95


def test_a_flood_beside_a_trusted_client_has_at_most_a_twentieth() -> None:
    rng = np.random.default_rng(1)
    users = ids(rng.integers(0, 100, 20_000))
    flood = rng.random(20_000) < 0.8
    clients = np.where(flood, reported_by(9, 20_000), reported_by(8, 20_000))
    weights = beside_a_trusted_one(users, clients)[10_000:]
    assert weights[flood[10_000:]].sum() / weights.sum() < LEAST_SHARE * 1.1
    assert (weights[~flood[10_000:]] > 0.9).all()


def test_a_client_that_suddenly_floods_stays_within_its_share() -> None:
    users = ids(np.arange(6000) % 100)
    clients = np.where(np.arange(6000) < 3000, reported_by(8, 6000), reported_by(9, 6000))
    weights = beside_a_trusted_one(users, clients)
    kept = 0.5 ** (np.arange(6000)[::-1] / HALF_LIFE_JOBS)
    share = 0.0
    for stop in range(3000, 6001, 500):
        faded = weights[:stop] * kept[-stop:]
        share = max(share, faded[3000:].sum() / faded.sum())
    assert LEAST_SHARE / 3 < share < LEAST_SHARE * 1.3


@pytest.mark.parametrize("clients", [1, 2, 4])
def test_few_clients_of_equal_weight_count_in_full_where_none_is_trusted(clients: int) -> None:
    users = ids(np.arange(10_000) % 100)
    numbers = ids(np.arange(10_000) % clients)
    weights = OutcomeWeights(nobody).weigh(users, numbers, ends(10_000))
    assert weights[5000:].mean() > 0.95


def test_a_client_counts_again_once_no_trusted_one_has_reported_for_long() -> None:
    users, clients = ids(np.arange(6000) % 100), reported_by(9, 6000)
    clients[:1000] = 8
    end_s = ends(6000)
    end_s[3500:] += TRUSTED_S
    weights = OutcomeWeights(lambda client: client == 8).weigh(users, clients, end_s)
    assert weights[1000:3500].sum() < 0.05 * 3500
    assert (weights[3500:] == 1).all()


def test_outcomes_of_nobody_in_particular_count_in_full() -> None:
    users = np.zeros(3000, dtype=np.uint64)
    weights = OutcomeWeights(nobody).weigh(users, np.full(3000, NULL), ends(3000))
    assert (weights == 1).all()
