"""The verdict on a candidate: real bundles on jobs that followed."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.model.bundle import Bundle, read_bundle
from rt_predictor.renew.judge import Verdict, jobs_that_followed, judge
from rt_predictor.settings import Settings
from rt_predictor.training.fine_tune import Figures
from rt_predictor.training.prepare import PreparedLog, prepare_log
from tests.model.plain_bundle import plain_bundle


@pytest.fixture(scope="module")
def log(tiny_log: pl.DataFrame) -> PreparedLog:
    return prepare_log(tiny_log, "site")


@pytest.fixture(scope="module")
def trained(tiny_bundle: Path) -> Bundle:
    return read_bundle(tiny_bundle)


def verdict(log: PreparedLog, candidate: Bundle, served: Bundle, settings: Settings) -> Verdict:
    rows = jobs_that_followed(log, float(np.quantile(log.end_s, 0.7)), candidate, served)
    return judge(log, rows, candidate, served, settings, report=lambda _: None)


def test_one_that_has_learned_takes_the_place_of_one_that_has_not(
    log: PreparedLog, trained: Bundle, tiny_settings: Settings
) -> None:
    better = verdict(log, trained, plain_bundle(), tiny_settings)
    assert better.is_no_worse
    assert better.candidate.over(better.served) < 0.95
    worse = verdict(log, plain_bundle(), trained, tiny_settings)
    assert not worse.is_no_worse
    assert (worse.candidate, worse.served) == (better.served, better.candidate)


def test_the_same_bundle_is_no_worse(log: PreparedLog, tiny_settings: Settings) -> None:
    same = verdict(log, plain_bundle("a"), plain_bundle("b"), tiny_settings)
    assert same.candidate == same.served
    assert same.is_no_worse


def test_only_jobs_count_that_were_submitted_later_and_are_new_to_both(log: PreparedLog) -> None:
    after_s = float(np.median(log.end_s))
    later = log.rows[log.submit_s[log.rows] > after_s]
    some, others = (
        plain_bundle(learned=log.columns.ident[rows]) for rows in (later[:9], later[-7:])
    )
    rows = jobs_that_followed(log, after_s, some, others)
    assert set(rows) <= set(later[9:-7])
    assert len(rows) >= len(later) - 16 - 0.05 * len(later)  # fingerprints hold a few others


@pytest.mark.parametrize(
    ("mae_s", "crps_s", "fine"),
    [(10.0, 5.0, True), (10.1, 4.0, False), (9.0, 5.1, False), (9.0, 4.0, True)],
)
def test_neither_error_may_be_greater(mae_s: float, crps_s: float, *, fine: bool) -> None:
    assert Verdict(500, Figures(mae_s, crps_s, 0.5), Figures(10.0, 5.0, 0.5)).is_no_worse is fine
