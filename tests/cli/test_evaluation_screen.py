"""The figures of an evaluation on a terminal."""

from dataclasses import replace

import pytest

from rt_predictor.cli.evaluation_screen import show_evaluation
from rt_predictor.training.beside import Beside
from rt_predictor.training.evaluate import Evaluation


def test_every_level_and_every_kind_of_jobs_has_its_row(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    show_evaluation(evaluation)
    shown = capsys.readouterr().out
    for words in (
        "50 %",
        "95 %",
        "under 1 min",
        "129 to 512",
        "20 and more",
        "jobs reached",
        "core-hours freed",
        "asked again",
    ):
        assert words in shown
    assert "user 1" not in shown


def test_figures_that_there_are_none_of_are_left_out(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    one_kind = {kind: buckets[:1] for kind, buckets in evaluation.buckets.items()}
    nobody = dict.fromkeys(evaluation.user_mae, float("nan"))
    show_evaluation(
        replace(
            evaluation, timeouts=None, buckets=one_kind, user_mae=nobody, usefulness={},
            asked_again=None, regular=(),
        )
    )  # fmt: skip
    shown = capsys.readouterr().out
    for words in ("jobs reached", "under 1 min", "core-hours", "asked again", "regular", "nan"):
        assert words not in shown
    assert "–" in shown


def test_nothing_is_cut_off_on_a_narrow_terminal(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    first, *others = evaluation.models
    models = {name: replace(evaluation.models[name], rmse=106_569.0, r2=-9.123) for name in others}
    models[first] = replace(evaluation.models[first], r2=-2373.7)
    show_evaluation(replace(evaluation, models=models))
    shown = capsys.readouterr().out
    assert "…" not in shown
    for figure in ("106,569", "-9.12", "-2,374"):
        assert figure in shown


def test_edition_1_stands_beside(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = Beside(
        jobs=300, mae_ratio=0.9, crps_s=80.0, their_crps_s=100.0, crps_ratio=0.8, brier=0.02,
        their_brier=0.03, equal_cuts=None, freed_ratio=1.5,
    )  # fmt: skip
    show_evaluation(replace(evaluation, beside=beside))
    shown = capsys.readouterr().out
    assert "over edition 1.0's on 300 jobs: MAE 0.900, CRPS 0.800, core-hours freed" in shown
    assert "Brier 0.0200 against 0.0300" in shown
