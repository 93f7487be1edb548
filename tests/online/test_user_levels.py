"""Maps of users learn from their own outcomes only, once these are due, in any pieces."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.history.token_keys import NO_KEY
from rt_predictor.model.level_maps import KNOTS
from rt_predictor.model.lone_distribution import LoneDistribution
from rt_predictor.online import user_levels
from rt_predictor.online.groups import shape_groups
from rt_predictor.online.outcomes import Outcomes
from rt_predictor.online.recalibration import Recalibration
from rt_predictor.online.user_levels import UserLevels
from tests.model.distributions import random_jobs
from tests.online.outcomes import random_outcomes, some

USERS = 5


def _unchanged(_group: int, level: float) -> float:
    return level


def _folded(outcomes: Outcomes, **kept: int) -> Recalibration:
    recalibration = Recalibration(**kept)
    recalibration.fold(outcomes)
    return recalibration


def _maps(recalibration: Recalibration, at_s: float = np.inf) -> np.ndarray:
    """Return the image of the knots under each user's map, the knots without one: [USERS, K]."""
    users = np.arange(1, USERS + 1, dtype=np.uint64)
    user_maps = recalibration.user_maps_at(users, np.full(USERS, at_s))
    if user_maps is None:
        return np.tile(KNOTS, (USERS, 1))
    maps, map_of = user_maps
    return np.where(map_of[:, np.newaxis] < 0, KNOTS, maps.values[map_of])


def _higher(outcomes: Outcomes, user: int) -> Outcomes:
    """Return the same outcomes, but one user's lie high in their distributions."""
    of_user = outcomes.users == user
    level = np.where(of_user, np.sqrt(outcomes.lower_level), outcomes.lower_level)
    return replace(outcomes, lower_level=level, upper_level=level)


def test_a_user_s_map_learns_where_the_jobs_of_that_user_end() -> None:
    plain = random_outcomes(0, 2000, users=USERS)
    maps = _maps(_folded(_higher(plain, 1)))
    middle = np.flatnonzero(KNOTS == 0.5).item()
    assert maps[0, middle] < 0.42  # a quarter of the jobs end below; mixed with no change
    assert np.abs(maps[1:, middle] - 0.5).max() < 0.1


@given(st.integers(0, 2**32), st.lists(st.integers(0, 150), max_size=4))
def test_pieces_do_not_matter(seed: int, cuts: list[int]) -> None:
    outcomes = random_outcomes(seed, 150, power=1.5, users=USERS)
    whole, pieces = _folded(outcomes), Recalibration()
    for first, last in pairwise([0, *sorted(cuts), 150]):
        pieces.fold(some(outcomes, slice(first, last)))
        pieces = Recalibration.restored(pieces.state())
    for at_s in (-1.0, *outcomes.end_s[::29].tolist(), np.inf):
        assert _maps(whole, at_s).tobytes() == _maps(pieces, at_s).tobytes()
    left, right = whole.state(), pieces.state()
    assert all(
        np.array_equal(left[name], right[name]) for name in left if name.startswith("users.")
    )


@given(st.integers(0, 2**32), st.integers(1, 149))
def test_what_had_not_ended_is_not_known(seed: int, count: int) -> None:
    outcomes = random_outcomes(seed, 150, power=1.5, users=USERS)
    then_s = float(outcomes.end_s[count - 1])
    known = int(outcomes.end_s.searchsorted(then_s, side="right"))
    now, then = _folded(outcomes), _folded(some(outcomes, slice(known)))
    assert np.array_equal(_maps(now, then_s), _maps(then, then_s))


@given(st.integers(0, 2**32), st.integers(1, USERS))
def test_a_user_s_map_does_not_move_by_outcomes_of_others(seed: int, user: int) -> None:
    """While the maps of groups stay as they are: these move by all users, but within limits."""
    outcomes = random_outcomes(seed, 400, users=USERS)
    among_others = UserLevels()
    single = UserLevels()
    for row in range(len(outcomes)):
        levels = outcomes.lower_level[row], outcomes.upper_level[row]
        times = {
            "end_s": outcomes.end_s[row],
            "runtime_s": outcomes.runtime_s[row],
            "limit_s": outcomes.limit_s[row],
        }
        for state in (among_others, single) if outcomes.users[row] == user else (among_others,):
            state.wait(int(outcomes.users[row]), 0, 1.0, levels, **times)
        for state in (among_others, single):
            state.learn(outcomes.end_s[row], _unchanged)
    asked = np.array([user], dtype=np.uint64), np.array([np.inf])
    left, right = among_others.maps_at(*asked), single.maps_at(*asked)
    assert (left is None) == (right is None)
    if left is not None and right is not None:
        assert left[0].values.tobytes() == right[0].values.tobytes()


def _wait(levels: UserLevels, end_s: float, runtime_s: float, limit_s: float = np.nan) -> None:
    levels.wait(1, 0, 1.0, (0.9, 0.9), end_s=end_s, runtime_s=runtime_s, limit_s=limit_s)
    levels.learn(end_s, _unchanged)


def _known(levels: UserLevels, user: int = 1) -> bool:
    return levels.maps_at(np.array([user], dtype=np.uint64), np.array([np.inf])) is not None


def test_a_short_job_counts_once_it_has_had_the_time_of_long_ones() -> None:
    levels = UserLevels()
    levels.wait(1, 0, 1.0, (0.9, 0.9), end_s=1e5, runtime_s=1e4, limit_s=np.nan)
    _wait(levels, 1e5, 10.0)
    weight = levels.state()["weights"].item()
    assert weight == 1  # of the long job; the short job waits
    levels.learn(1e5 + 1e4 * 0.99 - 11, _unchanged)
    assert levels.state()["weights"].item() == 1
    levels.learn(1e5 + 1e4, _unchanged)
    assert levels.state()["weights"].item() == 2


def test_a_limit_bounds_how_long_an_outcome_waits() -> None:
    levels = UserLevels()
    levels.wait(1, 0, 1.0, (0.9, 0.9), end_s=1e5, runtime_s=1e4, limit_s=np.nan)
    _wait(levels, 1e5, 10.0, limit_s=60.0)
    levels.learn(1e5 + 50, _unchanged)
    assert levels.state()["weights"].item() == 2


def test_jobs_of_nobody_teach_nothing() -> None:
    levels = UserLevels()
    levels.wait(NO_KEY, 0, 1.0, (0.9, 0.9), end_s=1.0, runtime_s=1.0, limit_s=np.nan)
    levels.learn(9.0, _unchanged)
    assert levels.size_bytes == 0
    assert not _known(levels, NO_KEY)


def test_a_flood_of_users_displaces_those_with_the_least_weight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_levels, "MOST_USERS", 64)
    levels = UserLevels(kept_maps=32)
    for job in range(20):
        _wait(levels, 1000.0 + job, 1.0)
    sizes = []
    for user in range(2, 2000):
        levels.wait(user, 0, 1.0, (0.1, 0.1), end_s=1e4 + user, runtime_s=1.0, limit_s=np.nan)
        levels.learn(1e4 + user, _unchanged)
        sizes.append(levels.size_bytes)
    assert _known(levels)
    assert max(sizes[1000:]) <= max(sizes[:1000])


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_levels, "MOST_WAITING", 10)
    levels = UserLevels()
    levels.wait(1, 0, 1.0, (0.9, 0.9), end_s=1e5, runtime_s=1e5, limit_s=np.nan)
    for job in range(100):
        _wait(levels, 1e5 + job, 1.0)
    assert len(levels.state()["waiting"]) == 10
    assert levels.state()["weights"].item() == 91


def test_maps_of_earlier_times_are_bounded_and_the_latest_stay() -> None:
    outcomes = random_outcomes(0, 1500, power=1.5, users=USERS)
    few, many = _folded(outcomes, kept_user_maps=16), _folded(outcomes)
    assert np.array_equal(_maps(few), _maps(many))
    assert few.size_bytes < many.size_bytes
    assert np.isfinite(_maps(few, float(outcomes.end_s[100]))).all()


MANY = _folded(random_outcomes(0, 1500, power=1.5, users=USERS))


@given(st.integers(0, 2**32))
def test_a_job_has_the_same_distribution_single_and_in_a_batch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = random_jobs(seed % 1000, 20)
    raw = asked.distribution(recalibrated=False)
    groups = shape_groups(raw)
    users = rng.integers(0, USERS + 3, len(raw)).astype(np.uint64)
    at_s = rng.uniform(0, 2e6, len(raw))
    together = MANY.recalibrated(raw, groups, users, at_s)
    for row in range(len(raw)):
        one = slice(row, row + 1)
        single = MANY.recalibrated(raw[one], groups[one], users[one], at_s[one])
        assert single.cumulative.tobytes() == together.cumulative[one].tobytes()
        alone = LoneDistribution.of(asked.support_s[row], asked.weights[row], raw.limit_s.item(row))
        served = MANY.recalibrated_one(alone, users.item(row), at_s.item(row))
        assert served.cumulative.tobytes() == together.cumulative[one].tobytes()
