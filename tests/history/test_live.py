"""Live figures are plain means at first, and forget at a set pace, whatever the pieces."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history.judge import Told
from rt_predictor.history.live import HALF_LIFE_JOBS, LiveSums
from rt_predictor.model.bounds import LEVELS
from rt_predictor.model.reference import BINS
from rt_predictor.training.metrics import Intervals, point_metrics, winkler_score
from tests.history.fakes import A_REFERENCE


def some_answers(jobs: int, seed: int = 0) -> tuple[Told, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    predicted_s, runtime_s = rng.lognormal(5, 1, (2, jobs))
    widths = np.sort(rng.random((jobs, len(LEVELS)))) + 0.1
    told = Told(predicted_s, predicted_s[:, None] / (1 + widths), predicted_s[:, None] * widths * 9)
    return told, runtime_s, rng.integers(0, BINS, (jobs, 2))


def folded(answers: tuple[Told, np.ndarray, np.ndarray], cuts: list[int]) -> LiveSums:
    told, runtime_s, bins = answers
    live, edges = LiveSums.none(2), sorted({0, *cuts, len(runtime_s)})
    for start, stop in pairwise(edges):
        rows = slice(start, stop)
        part = Told(told.predicted_s[rows], told.lower_s[rows], told.upper_s[rows])
        live = live.after(part, runtime_s[rows], bins[rows])
    return live


@settings(deadline=None)
@given(st.integers(1, 400), st.lists(st.integers(0, 400), max_size=20))
def test_sums_do_not_depend_on_the_pieces(jobs: int, cuts: list[int]) -> None:
    answers = some_answers(jobs)
    whole, cut = folded(answers, []), folded(answers, [at for at in cuts if at < jobs])
    assert whole.jobs == cut.jobs == jobs
    assert whole.sums.tobytes() == cut.sums.tobytes()
    assert whole.counts.tobytes() == cut.counts.tobytes()


def test_the_first_jobs_give_the_figures_of_an_evaluation() -> None:
    answers = some_answers(40)
    told, runtime_s, _ = answers
    found = folded(answers, []).figures("v1", A_REFERENCE)
    expected = point_metrics(told.predicted_s, runtime_s)
    assert (found.model_version, found.jobs) == ("v1", 40)
    assert found.mae_s == pytest.approx(expected.mae)
    assert found.accuracy == pytest.approx(expected.accuracy)
    assert found.underestimated == pytest.approx(expected.underestimated)
    for place, level in enumerate(LEVELS):
        intervals = Intervals(level, told.lower_s[:, place], told.upper_s[:, place])
        assert found.coverage[level] == pytest.approx(intervals.hold(runtime_s).mean())
        expected_score = winkler_score(intervals, runtime_s)
        assert found.interval_score_s[level] == pytest.approx(expected_score)


def test_a_job_counts_half_after_the_half_life() -> None:
    def all_alike(jobs: int, predicted_s: float) -> tuple[Told, np.ndarray, np.ndarray]:
        predicted = np.full(jobs, predicted_s)
        ends = np.repeat(predicted[:, None], len(LEVELS), axis=1)
        return Told(predicted, ends, ends), np.full(jobs, 10.0), np.zeros((jobs, 2), dtype=int)

    many = 40 * HALF_LIFE_JOBS
    live = LiveSums.none(2).after(*all_alike(many, 10.0))
    assert live.figures("v", A_REFERENCE).accuracy == 1.0
    live = live.after(*all_alike(HALF_LIFE_JOBS, 5.0))
    figures = live.figures("v", A_REFERENCE)
    assert figures.jobs == many + HALF_LIFE_JOBS
    assert figures.accuracy == pytest.approx((1 + 0.5) / 2, rel=1e-6)
    assert figures.mae_s == pytest.approx(5 / 2, rel=1e-6)


def test_nothing_is_said_before_the_first_job() -> None:
    figures = LiveSums.none(2).figures("v", A_REFERENCE)
    said = [figures.mae_s, figures.accuracy, *figures.coverage.values()]
    assert figures.jobs == 0
    assert np.isnan(said).all()
    assert [drift.psi for drift in figures.drift.values()] == pytest.approx([0, 0])
