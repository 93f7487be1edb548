"""What a candidate says of itself comes back as it was said."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.observability.health import State
from rt_predictor.shadow import report as module
from rt_predictor.shadow.check import shadow_check
from rt_predictor.shadow.folder import ShadowFolder
from rt_predictor.shadow.report import (
    RATIO_EDGES,
    Compared,
    ShadowReport,
    report_from_json,
    report_to_json,
)
from tests.observability.test_live_metrics import FIGURES

NOW_S = 1_700_000_000.0
NUMBERS = replace(FIGURES, proposals_mae_s={"last2": 40.0})
"""Without one that is not there yet: NaN does not equal NaN."""
REPORT = ShadowReport(NOW_S, "v2", live=NUMBERS, compared=Compared().after(np.ones(2), np.ones(2)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ShadowFolder:
    monkeypatch.setattr(module.time, "time", lambda: NOW_S)
    return ShadowFolder(tmp_path, share=1.0)


@given(st.floats(allow_nan=False), st.floats(0, 1e12), st.text())
def test_numbers_come_back_to_the_last_bit(mae_s: float, coverage: float, problem: str) -> None:
    live = replace(NUMBERS, mae_s=mae_s, coverage={0.5: coverage, 0.95: 1 / 3})
    said = replace(REPORT, live=live, problem=problem)
    assert report_from_json(report_to_json(said)) == said


def test_figures_that_are_not_there_yet_come_back_too() -> None:
    live = replace(FIGURES, jobs=0, mae_s=math.nan)
    found = report_from_json(report_to_json(replace(REPORT, live=live))).live
    assert found is not None
    assert math.isnan(found.mae_s)
    assert math.isnan(found.proposals_mae_s["xgboost"])


@given(st.lists(st.floats(1e-3, 1e3), min_size=1))
def test_every_answer_lies_in_the_bin_of_its_ratio(ratios: list[float]) -> None:
    served_s = np.ones(len(ratios))
    found = Compared().after(np.array(ratios), served_s)
    assert found.answers == len(ratios)
    for place, edge in enumerate(RATIO_EDGES):
        assert sum(found.counts[: place + 1]) == sum(ratio <= edge for ratio in ratios)
    assert found.differing == pytest.approx(np.mean([not 0.9 < ratio <= 1.1 for ratio in ratios]))
    one_by_one = Compared()
    for ratio in ratios:
        one_by_one = one_by_one.after(np.array([ratio]), served_s[:1])
    assert one_by_one.counts == found.counts


def test_equal_answers_do_not_differ_and_without_any_nothing_is_said() -> None:
    assert Compared().after(np.full(3, 7.0), np.full(3, 7.0)).differing == 0
    assert math.isnan(Compared().differing)
    assert Compared().after_failures(2).failed == 2


def test_the_last_report_stands_in_its_place(place: ShadowFolder) -> None:
    assert place.latest() is None
    for version in ("v1", "v2"):
        place.publish(replace(REPORT, model_version=version))
    assert place.latest() == REPORT
    next(place.folder.iterdir()).write_bytes(b"{}")
    assert place.latest() is None


@pytest.mark.parametrize(
    ("report", "state", "says"),
    [
        (None, State.SERVING, "starting"),
        (REPORT, State.SERVING, "v2, judged on 12 finished jobs, 0 to come; 2 answers compared"),
        (replace(REPORT, problem="damaged"), State.DEGRADED, "damaged"),
        (replace(REPORT, at_s=NOW_S - 31), State.DEGRADED, "not heard of for 31 s"),
    ],
)
def test_health_has_a_word_on_a_candidate_that_is_ill_or_gone(
    report: ShadowReport | None, state: State, says: str, place: ShadowFolder
) -> None:
    if report is not None:
        place.publish(report)
    found = shadow_check(place)()
    assert (found.state, found.message) == (state, says)
