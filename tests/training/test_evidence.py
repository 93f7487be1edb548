"""Maps of levels that jobs of a log are answered with: of groups, and of users where it has any."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.model.level_maps import KNOTS
from rt_predictor.online.groups import SHAPES
from rt_predictor.training.evidence import Maps
from tests.model.distributions import random_jobs

JOBS, STATES, USERS = 30, 3, 8


def _values(seed: int, *shape: int) -> np.ndarray:
    values = np.sort(np.random.default_rng(seed).random((*shape, len(KNOTS))), axis=-1)
    values[..., 0], values[..., -1] = 0, 1
    return values


def _maps(seed: int, users: int = USERS) -> Maps:
    rng = np.random.default_rng(seed)
    return Maps(
        _values(seed, STATES, SHAPES),
        rng.integers(0, STATES, JOBS),
        _values(seed + 1, users),
        rng.integers(-1, users, JOBS),
    )


@given(st.integers(0, 2**31))
def test_some_of_the_jobs_are_recalibrated_as_among_all(seed: int) -> None:
    raw = random_jobs(seed % 100, JOBS).distribution(recalibrated=False)
    maps = _maps(seed)
    every = maps.recalibrated(raw).cumulative
    rows = np.sort(np.random.default_rng(seed).choice(JOBS, 7, replace=False))
    assert maps[rows].recalibrated(raw[rows]).cumulative.tobytes() == every[rows].tobytes()


def test_a_log_without_users_is_recalibrated_by_group_alone() -> None:
    raw = random_jobs(0, JOBS).distribution(recalibrated=False)
    nobody = _maps(0, users=0)
    assert (nobody.user_map == -1).all()
    some = _maps(0)
    known = Maps(nobody.values, nobody.state, some.of_users, nobody.user_map)
    found = nobody.recalibrated(raw).cumulative
    assert not np.array_equal(found, raw.cumulative)
    assert found.tobytes() == known.recalibrated(raw).cumulative.tobytes()
