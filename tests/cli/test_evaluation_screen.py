"""The figures of an evaluation on a terminal."""

from dataclasses import replace

import pytest

from rt_predictor.cli.evaluation_screen import show_evaluation
from rt_predictor.training.evaluate import Evaluation


def test_every_level_and_every_kind_of_jobs_has_its_row(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    show_evaluation(evaluation)
    shown = capsys.readouterr().out
    for words in ("50 %", "95 %", "under 1 min", "129 to 512", "10 and more", "jobs reached"):
        assert words in shown
    assert "user 1" not in shown


def test_figures_that_there_are_none_of_are_left_out(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    one_kind = {kind: buckets[:1] for kind, buckets in evaluation.buckets.items()}
    nobody = dict.fromkeys(evaluation.user_mae, float("nan"))
    show_evaluation(replace(evaluation, timeouts=None, buckets=one_kind, user_mae=nobody))
    shown = capsys.readouterr().out
    for words in ("jobs reached", "under 1 min", "nan"):
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
