import numpy as np
import pytest

from rt_predictor.training.calibrate import constant_width, fit_limit_overrun

LEVELS = [0.5, 0.8, 0.9, 0.95]


@pytest.mark.parametrize("level", LEVELS)
def test_constant_width_holds_its_level(level: float) -> None:
    rng = np.random.default_rng(5)
    predicted = np.full(40_000, 100.0)
    runtime = predicted * np.exp(rng.normal(0, 0.7, 40_000))
    factor = constant_width(predicted[:20_000], runtime[:20_000], level)
    new = runtime[20_000:]
    assert ((100 / factor <= new) & (new <= 100 * factor)).mean() == pytest.approx(level, abs=0.015)


def test_few_jobs_take_the_extremes() -> None:
    ratios = np.array([0.2, 1.0, 1.1, 7.0])
    assert constant_width(np.full(4, 100.0), 100 * ratios, 0.9) == pytest.approx(7.0)


def test_overrun_is_what_all_but_a_few_jobs_stay_below() -> None:
    limit = np.full(1000, 100.0)
    runtime = np.where(np.arange(1000) < 100, 105.0, 50.0)
    runtime[0] = 5000
    assert fit_limit_overrun(runtime, limit) == pytest.approx(1.05)


def test_where_nothing_runs_over_there_is_no_overrun() -> None:
    assert fit_limit_overrun(np.full(9, 50.0), np.full(9, 100.0)) == 1
    assert fit_limit_overrun(np.full(9, 50.0), np.full(9, np.nan)) == 1
