"""No user or client moves a shared state further than its share, and none blocks it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.online.influence import LEAST_SHARE, ConcurrentJobs, Shares

WINDOW = 1000.0
DAY_S = 86400.0


def step(
    shares: Shares, weight: float, user: int, client: int | None, now_s: float, *, beside: bool
) -> float:
    return shares.count(weight, user, client, now_s, beside_trusted=beside) / shares.weight


def moved(shares: Shares, users: np.ndarray, first_s: float = 0.0, gap_s: float = 60.0) -> float:
    """Return how far from 0 to 1 a mean has gone after outcomes of 1 by these users."""
    mean = 0.0
    for number, user in enumerate(users.tolist()):
        mean += step(shares, 1.0, user, None, first_s + number * gap_s, beside=True) * (1 - mean)
    return mean


def settled(users: np.ndarray) -> Shares:
    """Return shares after so many outcomes that the start has faded."""
    shares = Shares(200.0, WINDOW)
    moved(shares, users)
    return shares


@pytest.mark.parametrize("users", [1, 2, 5, 19, 20, 30])
def test_users_who_are_equally_active_count_in_full(users: int) -> None:
    order = np.random.default_rng(users).integers(1, 1 + users, 20_000)
    shares = settled(order)
    moved_by = moved(shares, order[:1000], 20_000 * 60.0)
    assert moved_by > 0.9 * (1 - np.exp(-1000 / WINDOW))


def test_a_busy_user_counts_no_more_than_the_few_others_and_they_do_count() -> None:
    rng = np.random.default_rng(0)
    shares = settled(rng.choice([1, 2, 3], 20_000, p=[0.9, 0.05, 0.05]))
    used = [shares.users.used.get(user) for user in (1, 2, 3)]
    assert used[0] <= 1.1 * shares.weight / 3
    assert min(used) > 0.15 * shares.weight


def test_a_user_goes_on_teaching_after_all_others_have_left() -> None:
    shares = settled(np.arange(20_000) % 2)
    first_s = 20_000 * 60.0
    assert moved(shares, np.zeros(20_000, int), first_s, gap_s=300.0) > 0.9


def test_a_flood_by_one_of_many_users_moves_a_twentieth() -> None:
    shares = settled(np.random.default_rng(1).integers(1, 200, 20_000))
    assert moved(shares, np.zeros(50_000, int), 20_000 * 60.0, gap_s=0.1) <= LEAST_SHARE + 1e-3


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.01, 1)), min_size=1, max_size=300))
def test_an_untrusted_client_never_has_more_than_a_twentieth_beside_a_trusted_one(
    outcomes: list[tuple[int, float]],
) -> None:
    shares = Shares(50.0, 60.0)
    for number, (user, weight) in enumerate(outcomes):
        step(shares, weight, user, 7 if user % 2 else None, number * DAY_S, beside=True)
        assert shares.held.get(7) <= LEAST_SHARE * shares.weight * (1 + 1e-9)
        assert shares.weight <= 60.0 + 1e-9


def flooded(shares: Shares, client: int, first_s: float, *, beside: bool) -> float:
    """Return how far from 0 to 1 a mean has gone after 5,000 outcomes of many users at once."""
    mean = 0.0
    for number in range(5000):
        moved_by = step(shares, 1.0, 1 + number % 200, client, first_s + number / 10, beside=beside)
        mean += moved_by * (1 - mean)
    return mean


def reported_by(clients: Sequence[int | None], outcomes: int = 20_000) -> Shares:
    """Return shares after that many outcomes of many users, reported by clients in turn."""
    shares = Shares(200.0, WINDOW)
    for number in range(outcomes):
        client = clients[number % len(clients)]
        step(shares, 1.0, 1 + number % 200, client, number * 60.0, beside=client is None)
    return shares


def test_the_only_client_of_a_site_is_learned_from_as_if_it_were_trusted() -> None:
    single, trusted = Shares(200.0, WINDOW), Shares(200.0, WINDOW)
    users = np.random.default_rng(3).integers(1, 100, 5000).tolist()
    for number, user in enumerate(users):
        alike = step(trusted, 1.0, user, None, number * 60.0, beside=True)
        assert step(single, 1.0, user, 7, number * 60.0, beside=False) == alike


def test_a_flood_beside_a_trusted_client_moves_a_twentieth() -> None:
    assert flooded(reported_by([None]), 7, 20_000 * 60.0, beside=True) <= LEAST_SHARE + 1e-9


def test_a_flood_that_came_before_the_first_trusted_outcome_goes_no_further() -> None:
    shares = reported_by([7], 3000)
    assert shares.held.get(7) > 0.5 * shares.weight
    assert flooded(shares, 7, 3000 * 60.0, beside=True) == 0


def test_where_no_trusted_client_is_left_the_only_other_one_teaches() -> None:
    shares = reported_by([None])
    assert flooded(shares, 7, 20_000 * 60.0, beside=False) > 0.9 * (1 - np.exp(-5000 / WINDOW))


@pytest.mark.parametrize("clients", [2, 3, 10])
def test_a_sudden_flood_of_one_of_few_clients_has_no_more_than_an_equal_share(clients: int) -> None:
    shares = reported_by(range(1, 1 + clients))
    assert flooded(shares, 1, 20_000 * 60.0, beside=False) <= 1 / clients + 0.05


@pytest.mark.parametrize("clients", [2, 3, 19, 30])
def test_clients_who_report_as_much_as_each_other_count_in_full(clients: int) -> None:
    shares = reported_by(range(1, 1 + clients))
    mean = 0.0
    for number in range(20_000, 21_000):
        client = 1 + number % clients
        moved_by = step(shares, 1.0, 1 + number % 200, client, number * 60.0, beside=False)
        mean += moved_by * (1 - mean)
    assert mean > 0.9 * (1 - np.exp(-1000 / WINDOW))


def test_what_is_restored_goes_on_as_before() -> None:
    rng = np.random.default_rng(2)
    shares, other = settled(rng.integers(1, 30, 3000)), Shares(1.0, WINDOW)
    other.restore(shares.arrays())
    for user in rng.integers(1, 30, 500).tolist():
        beside = user % 2 == 0
        found = step(shares, 0.7, user, user % 3 or None, 1e6, beside=beside)
        assert found == step(other, 0.7, user, user % 3 or None, 1e6, beside=beside)


def test_concurrent_jobs_count_less_than_jobs_one_after_the_other() -> None:
    burst, line = ConcurrentJobs(), ConcurrentJobs()
    together = [burst.weight(1, 0.0, 10.0 + number) for number in range(100)]
    apart = [line.weight(1, 10.0 * number, 10.0 * number + 10.0) for number in range(100)]
    assert together[0] == 1
    assert together[-1] < 0.25
    assert apart == [1.0] * 100
    assert burst.weight(2, 0.0, 10.0) == 1, "of another user"
