import numpy as np
import pytest

from rt_predictor.training.usefulness import Ran, at_equal_cuts, usefulness

LIMIT_S = np.full(4, 3600.0)
RUNTIME_S = np.array([600.0, 600.0, 1800.0, 3600.0])
CORES = np.array([1.0, 3.0, 1.0, 1.0])
JOBS = Ran(LIMIT_S, RUNTIME_S, CORES)


def test_usefulness_by_hand() -> None:
    found = usefulness(np.full(4, 1200.0), JOBS)
    assert found is not None
    assert found.jobs == 4
    assert found.freed == pytest.approx(2 / 3)
    assert found.unused == pytest.approx((3000 * 4 + 1800) / (6 * 3600))
    assert found.cut == 0.5
    assert found.cut_core_hours == pytest.approx(2400 / (600 * 4 + 1800 + 3600))


def test_nobody_follows_a_recommendation_above_the_limit_or_none() -> None:
    found = usefulness(np.array([7200.0, np.nan, 3600.0, 3600.0]), JOBS)
    assert found is not None
    assert found.freed == 0
    assert found.cut == 0


def test_jobs_without_a_limit_do_not_count() -> None:
    limit_s = np.array([3600.0, np.nan, np.nan, np.nan])
    found = usefulness(np.full(4, 1800.0), Ran(limit_s, RUNTIME_S, CORES))
    assert found is not None
    assert found.jobs == 1
    assert found.freed == 0.5
    assert usefulness(np.full(4, 1800.0), Ran(np.full(4, np.nan), RUNTIME_S, CORES)) is None


def test_equal_cuts_are_chosen_on_earlier_jobs() -> None:
    earlier = np.array([True, True, False, False])
    ours = np.array([[300.0, 900.0], [900, 900], [1200, 2400], [1200, 2400]])
    theirs = np.array([3000.0, 3000, 3000, 3000])
    found = at_equal_cuts((0.5, 0.9), ours, theirs, JOBS, earlier)
    assert found is not None
    assert found.level == 0.9
    assert found.ours.freed == pytest.approx(1 / 3)
    assert found.freed_ratio == pytest.approx(2)
    assert found.ours.cut == found.theirs.cut == 0.5


def test_equal_cuts_need_jobs_on_both_sides() -> None:
    everything = np.ones(4, dtype=bool)
    ours = LIMIT_S[:, None]
    assert at_equal_cuts((0.9,), ours, LIMIT_S, JOBS, everything) is None
