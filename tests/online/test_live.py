"""Live figures are plain means at first, and forget at a set pace, whatever the pieces."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.model.distribution import Distribution
from rt_predictor.online.live import (
    CALIBRATION,
    HALF_LIFE_JOBS,
    PIT_BINS,
    LiveShape,
    LiveSums,
    pit_shares,
)

SHAPE = LiveShape.of(0.8, ("last2", "xgboost"))


class Answers(NamedTuple):
    served: Distribution
    members_s: np.ndarray
    runtime_s: np.ndarray
    weights: np.ndarray

    def part(self, rows: slice) -> "Answers":
        return Answers(*(part[rows] for part in self))


def some_answers(jobs: int, seed: int = 0) -> Answers:
    rng = np.random.default_rng(seed)
    support, weights = rng.lognormal(5, 1, (jobs, 20)), rng.random((jobs, 20))
    served = Distribution.of(
        support.astype(np.float32), weights.astype(np.float32), np.full(jobs, np.nan)
    )
    members = np.where(rng.random((jobs, 2)) < 0.2, np.nan, rng.lognormal(5, 1, (jobs, 2)))
    return Answers(served, members, rng.lognormal(5, 1, jobs), rng.random(jobs))


def folded(answers: Answers, cuts: list[int]) -> LiveSums:
    live, edges = LiveSums.none(SHAPE), sorted({0, *cuts, len(answers.runtime_s)})
    for start, stop in pairwise(edges):
        live = live.after(*answers.part(slice(start, stop)))
    return live


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.lists(st.integers(0, 300), max_size=20))
def test_sums_do_not_depend_on_the_pieces(jobs: int, cuts: list[int]) -> None:
    answers = some_answers(jobs)
    whole, cut = folded(answers, []), folded(answers, [at for at in cuts if at < jobs])
    assert whole.jobs == cut.jobs == jobs
    assert whole.sums.tobytes() == cut.sums.tobytes()


def test_the_first_jobs_give_plain_weighted_means() -> None:
    answers = some_answers(40)
    served, members_s, runtime_s, weights = answers
    found = folded(answers, []).figures("v1")
    predicted_s = served.median_s()

    def mean(values: np.ndarray) -> float:
        return float(np.average(values, weights=weights))

    assert (found.model_version, found.jobs) == ("v1", 40)
    assert found.mae_s == pytest.approx(mean(np.abs(predicted_s - runtime_s)))
    assert found.crps_s == pytest.approx(mean(served.crps_s(runtime_s)))
    assert found.underestimated == pytest.approx(mean(predicted_s < runtime_s))
    assert list(found.coverage) == [0.5, 0.8, 0.9, 0.95]
    for level in found.coverage:
        lower_s, upper_s = served.interval_s(level)
        held = (lower_s <= runtime_s) & (runtime_s <= upper_s)
        assert found.coverage[level] == pytest.approx(mean(held))
    known = np.isfinite(members_s[:, 0])
    error_s = np.abs(members_s[known, 0] - runtime_s[known])
    expected = np.average(error_s, weights=weights[known])
    assert found.proposals_mae_s["last2"] == pytest.approx(expected)


def test_a_job_counts_half_after_the_half_life() -> None:
    def all_alike(jobs: int, predicted_s: float) -> Answers:
        points = np.full((jobs, 2), predicted_s, dtype=np.float32)
        served = Distribution.of(points, np.ones((jobs, 2), np.float32), np.full(jobs, np.nan))
        return Answers(served, np.full((jobs, 2), np.nan), np.full(jobs, 10.0), np.ones(jobs))

    live = LiveSums.none(SHAPE)
    for _ in range(40):
        live = live.after(*all_alike(HALF_LIFE_JOBS, 10.0))
    assert live.figures("v").accuracy == 1.0
    live = live.after(*all_alike(HALF_LIFE_JOBS, 5.0))
    figures = live.figures("v")
    assert figures.accuracy == pytest.approx((1 + 0.5) / 2, rel=1e-6)
    assert figures.mae_s == pytest.approx(5 / 2, rel=1e-6)


def test_drift_is_small_where_outcomes_lie_as_distributions_say_and_large_where_not() -> None:
    rng = np.random.default_rng(5)
    jobs, points = 2000, np.arange(1, 101, dtype=np.float32)
    served = Distribution.of(
        np.tile(points, (jobs, 1)), np.ones((jobs, 100), np.float32), np.full(jobs, np.nan)
    )
    nothing = np.full((jobs, 2), np.nan)
    drawn_s = rng.integers(1, 101, jobs).astype(np.float64)
    for runtime_s, drifted in ((drawn_s, False), (np.minimum(2 * drawn_s, 100), True)):
        live = LiveSums.none(SHAPE).after(served, nothing, runtime_s, np.ones(jobs))
        psi = live.figures("v").drift[CALIBRATION].psi
        assert (psi > 0.25) == drifted
    assert live.figures("v").without_drift().drift == {}


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_outcome_is_spread_over_the_levels_of_its_atom(one: float, other: float) -> None:
    below, upto = sorted((one, other))
    (shares,) = pit_shares(np.array([below]), np.array([upto]))
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    held = shares[(np.arange(PIT_BINS) + 1) / PIT_BINS <= below - 1e-6]
    assert held.sum() == pytest.approx(0, abs=1e-6)


def test_nothing_is_said_before_the_first_job() -> None:
    figures = LiveSums.none(SHAPE).figures("v")
    values = [figures.mae_s, figures.accuracy, *figures.coverage.values()]
    assert figures.jobs == 0
    assert np.isnan(values).all()
    assert figures.drift[CALIBRATION].psi == pytest.approx(0)
