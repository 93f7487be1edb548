"""A site's model: from its log to a bundle and its figures."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.errors import BundleError, TrainingError, UsageError
from rt_predictor.model.bundle import read_bundle
from rt_predictor.model.documents import FINE_TUNED
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.fine_tune import (
    BASE_NAME,
    LEAST_JOBS,
    SCRATCH_NAME,
    SHARES,
    fine_tune,
    from_scratch,
)
from rt_predictor.training.prepare import PreparedLog
from rt_predictor.training.progress import ignore_progress
from rt_predictor.training.site import SiteReport, Start, start_of, train_site


@pytest.fixture(scope="module")
def start(tiny_bundle: Path) -> Start:
    return Start(read_bundle(tiny_bundle))


@pytest.fixture(scope="module")
def shares() -> list[float]:
    """Shares of the work that progress reported."""
    return []


@pytest.fixture(scope="module")
def report(
    tiny_log: pl.DataFrame,
    start: Start,
    tiny_settings: Settings,
    shares: list[float],
    tmp_path_factory: pytest.TempPathFactory,
) -> SiteReport:
    folder = tmp_path_factory.mktemp("site") / "ours"
    return train_site(
        tiny_log, ["a.csv"], start, folder, tiny_settings,
        progress=lambda _, share: shares.append(share),
    )  # fmt: skip


def test_the_bundle_says_where_it_comes_from(report: SiteReport, start: Start) -> None:
    info = read_bundle(report.folder).info
    assert info.kind == FINE_TUNED
    assert info.base_version == start.version
    assert info.model_version == report.model_version
    assert [log.name for log in info.training_logs] == ["a.csv"]
    assert info.training_span is not None


def test_it_knows_the_jobs_that_it_learned_from(
    report: SiteReport, site_log: PreparedLog, tiny_settings: Settings
) -> None:
    learned = report.bundle.info.fingerprints()
    evidence = ~learned.hold(site_log.columns.ident[site_log.rows])
    kept_base = "so this is the base model" in report.notes[0]
    # What models were chosen by is evidence of how good they are; of the base, all is.
    share = 1 if kept_base else tiny_settings.training.window_share
    assert evidence.mean() == pytest.approx(share, abs=0.02)


def test_what_is_kept_is_no_worse_than_the_base(report: SiteReport) -> None:
    candidates = report.bundle.metrics.candidates
    assert set(candidates) == set(SHARES)
    mean = [
        (found["mae_s"] / candidates[BASE_NAME]["mae_s"]
         + found["crps_s"] / candidates[BASE_NAME]["crps_s"]) / 2
        for found in candidates.values()
    ]  # fmt: skip
    assert min(mean) <= 1
    assert report.notes


def test_figures_are_of_the_jobs_that_ended_last(
    report: SiteReport, tiny_settings: Settings, tiny_log: pl.DataFrame
) -> None:
    expected = tiny_settings.training.window_share * len(tiny_log)
    assert report.evaluation.jobs_test == pytest.approx(expected, rel=0.1)
    kept = json.loads((report.folder / "training_metrics.json").read_text())
    assert kept["evaluation"]["jobs_test"] == report.evaluation.jobs_test


def test_progress_is_one_share_that_only_grows(report: SiteReport, shares: list[float]) -> None:
    assert report
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] == 1


def test_a_log_too_small_gives_the_base_recalibrated_and_says_so(
    small_log: PreparedLog, start: Start, tiny_settings: Settings
) -> None:
    assert start.base is not None
    few = small_log.rows[:500]
    found = fine_tune(small_log, few, start.base, tiny_settings.training, lambda _: None)
    assert found.name == BASE_NAME
    assert found.graph.serialised == start.base.graph
    assert f"too few to learn from, {LEAST_JOBS:,} are needed" in found.notes[0]
    assert (len(found.learned), len(found.window)) == (0, 500)


def test_nothing_is_learned_from_too_few_jobs_alone(
    small_log: PreparedLog, tiny_settings: Settings
) -> None:
    with pytest.raises(TrainingError, match="start from a base model"):
        from_scratch(small_log, small_log.rows[:500], tiny_settings.training, lambda _: None)


def test_a_model_can_start_from_nothing(site_log: PreparedLog, tiny_settings: Settings) -> None:
    found = from_scratch(site_log, site_log.rows, tiny_settings.training, lambda _: None)
    assert found.name == SCRATCH_NAME
    assert "boosters" in found.graph.parity
    earlier, window = site_log.end_s[found.learned], site_log.end_s[found.window]
    assert earlier.max() < window.min()


@pytest.mark.usefixtures("quick_tuning")
def test_a_model_worse_than_a_rule_says_so(
    site_log: PreparedLog, start: Start, tiny_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def perfect(log: pl.DataFrame, test: pl.DataFrame) -> dict[str, np.ndarray]:
        names = ("request", "last2", "user_median5", "backoff_median5")
        return dict.fromkeys(names, test["runtime"].to_numpy())

    monkeypatch.setattr("rt_predictor.training.fine_tune.baselines", perfect)
    assert start.base is not None
    found = fine_tune(site_log, site_log.rows, start.base, tiny_settings.training, lambda _: None)
    assert found.notes[-1].startswith("WARNING: ")
    assert "the rule request is better than this model" in found.notes[-1]


def test_a_handful_of_jobs_writes_nothing(
    start: Start, tiny_settings: Settings, tmp_path: Path
) -> None:
    jobs = generate_jobs(20, seed=1)
    with pytest.raises(TrainingError, match="holds 20 jobs that ran, at least 30"):
        train_site(jobs, ["few"], start, tmp_path / "x", tiny_settings, progress=ignore_progress)
    assert not (tmp_path / "x").exists()


def test_the_start_is_checked_before_the_work(
    tiny_bundle: Path, report: SiteReport, tiny_settings: Settings, tmp_path: Path
) -> None:
    settings = tiny_settings.with_overrides({"training.base": tiny_bundle})
    assert start_of(None, settings, tmp_path / "x", from_scratch=False).base is not None
    assert start_of(None, settings, None, from_scratch=True).base is None
    with pytest.raises(UsageError, match="holds the base model"):
        start_of(None, settings, tiny_bundle, from_scratch=False)
    with pytest.raises(UsageError, match="not both"):
        start_of(tiny_bundle, settings, None, from_scratch=True)
    with pytest.raises(TrainingError, match="tuned on a site, not a base model"):
        start_of(report.folder, settings, None, from_scratch=False)
    (tmp_path / "mine").write_text("text")
    with pytest.raises(BundleError, match="holds no bundle"):
        start_of(None, settings, tmp_path, from_scratch=False)
