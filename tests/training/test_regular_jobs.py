from dataclasses import replace

import numpy as np
import pytest

from rt_predictor.training.regular_jobs import (
    LEAST_RATIOS,
    RUNS,
    Series,
    empirical_ends_s,
    regular_jobs,
    regular_scores,
)

HOUR_S = 3600.0


def _series(runtimes_s: list[float], group: int = 0) -> Series:
    """Jobs of one group, each submitted when the one before had ended."""
    runtime_s = np.array(runtimes_s, dtype=np.float64)
    end_s = np.cumsum(runtime_s + 1)
    return Series(
        group=np.full(len(runtime_s), group),
        submit_s=end_s - runtime_s - 1,
        end_s=end_s - 1,
        runtime_s=runtime_s,
        limit_s=np.full(len(runtime_s), HOUR_S),
    )


def test_a_job_is_regular_after_ten_runs_alike() -> None:
    found = regular_jobs(_series([600.0] * (RUNS + 2)))
    assert found.rows.tolist() == [RUNS, RUNS + 1]
    assert found.median_s.tolist() == [600, 600]


def test_what_a_job_itself_took_does_not_matter() -> None:
    found = regular_jobs(_series([600.0] * RUNS + [1.0]))
    assert found.rows.tolist() == [RUNS]


def test_runs_further_apart_than_a_fifth_are_not_alike() -> None:
    assert len(regular_jobs(_series([600.0] * 9 + [721.0, 600.0])).rows) == 0
    assert len(regular_jobs(_series([600.0] * 9 + [720.0, 600.0])).rows) == 1


def test_a_tight_limit_is_not_regular() -> None:
    jobs = _series([600.0] * (RUNS + 1))
    assert len(regular_jobs(replace(jobs, limit_s=np.full(RUNS + 1, 1799.0))).rows) == 0
    assert len(regular_jobs(replace(jobs, limit_s=np.full(RUNS + 1, np.nan))).rows) == 0


def test_only_runs_that_had_ended_count() -> None:
    jobs = _series([600.0] * (RUNS + 1))
    jobs.submit_s[-1] = jobs.end_s[-2] - 1
    assert len(regular_jobs(jobs).rows) == 0


def test_jobs_of_other_groups_and_unknown_ones_do_not_count() -> None:
    jobs = _series([600.0] * (RUNS + 1))
    jobs.group[4] = 1
    assert len(regular_jobs(jobs).rows) == 0
    jobs.group[:] = -1
    assert len(regular_jobs(jobs).rows) == 0


def test_empirical_ends_know_only_what_had_ended() -> None:
    jobs = _series([600.0] * (RUNS + LEAST_RATIOS) + [600.0] * 5)
    found = regular_jobs(jobs)
    lower, upper = empirical_ends_s(jobs, found, (0.5, 0.9))
    assert np.isnan(lower[:LEAST_RATIOS]).all()
    assert (lower[LEAST_RATIOS:] == 600).all()
    assert (upper[LEAST_RATIOS:] == 600).all()


def test_empirical_ends_are_quantiles_of_the_ratios() -> None:
    tails = [600.0 * ratio for ratio in np.linspace(0.95, 1.1, 50)]
    jobs = _series([600.0] * RUNS + tails)
    found = regular_jobs(jobs)
    lower, upper = empirical_ends_s(jobs, found, (0.9,))
    ratios = np.sort((jobs.runtime_s[found.rows] / found.median_s)[:-1])
    assert lower[-1, 0] == found.median_s[-1] * ratios[int(np.ceil(0.05 * len(ratios))) - 1]
    assert upper[-1, 0] == found.median_s[-1] * ratios[int(np.ceil(0.95 * len(ratios))) - 1]


def test_scores_compare_with_the_empirical_ends() -> None:
    jobs = _series([600.0] * (RUNS + LEAST_RATIOS + 10))
    found = regular_jobs(jobs)
    took_s = jobs.runtime_s[found.rows]
    lower, upper = empirical_ends_s(jobs, found, (0.9,))
    empirical = lower[:, 0] - 30, upper[:, 0] + 30
    scores = regular_scores(found, (took_s - 15, took_s + 15), empirical, took_s, 0.9)
    assert scores.jobs == 10
    assert scores.coverage == scores.empirical_coverage == 1
    assert scores.mean_winkler_over_empirical == pytest.approx(0.5)
    assert scores.winkler_over_empirical == pytest.approx(0.5, abs=0.02)
    assert scores.width_over_median == pytest.approx(30 / 600)


def test_nothing_to_compare_is_not_a_number() -> None:
    jobs = _series([600.0] * (RUNS + 1))
    found = regular_jobs(jobs)
    nothing = np.full(1, np.nan), np.full(1, np.nan)
    scores = regular_scores(found, nothing, nothing, np.array([600.0]), 0.9)
    assert scores.jobs == 0
    assert np.isnan([scores.coverage, scores.winkler_over_empirical]).all()
