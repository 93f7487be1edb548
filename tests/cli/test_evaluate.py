"""`rt-predictor evaluate`: from a job log to figures and a report."""

import importlib.util
import json
from pathlib import Path

import pytest

from rt_predictor.traces.generate import generate_jobs

pytestmark = pytest.mark.slow

pytest.importorskip("catboost", reason="the libraries of the extra `train` are not installed")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "jobs.csv"
    generate_jobs(2000, seed=1).write_csv(path)
    return path


def test_figures_report_and_document_agree(run, log: Path, config: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "report", tmp_path / "figures.json"
    result = run("evaluate", log, "-o", folder, "--json", file, "--config", config)
    assert result.code == 0, result.err
    document = json.loads(file.read_text())
    assert document["trace"] == "jobs.csv"
    assert document["jobs_test"] == pytest.approx(600, rel=0.05)
    mae = f"{document['models']['ensemble']['mae']:,.0f}"
    assert mae in result.out
    assert mae in (folder / "report.html").read_text()
    shown = ("backoff_median5", "user_ratio5", "request_only", "by user", "history", "Winkler")
    for words in (*shown, "reached", "asked again", "core-hours freed"):
        assert words in result.out
    assert result.out.splitlines()[-2:] == [f"wrote {folder / 'report.html'}", f"wrote {file}"]


def test_a_dash_prints_the_document_and_nothing_else(run, log: Path, config: Path) -> None:
    result = run("evaluate", log, "--json", "-", "--config", config)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert set(document["baselines"]) == {
        "request", "last2", "user_median5", "backoff_median5", "user_ratio5", "request_only"
    }  # fmt: skip
    assert document["kind"] == "fine-tuned"
    assert len(document["interval"]["block_coverage"]) == 10


def test_models_can_be_made_anew_on_the_way(run, log: Path, config: Path) -> None:
    result = run("evaluate", log, "--json", "-", "--config", config, "--retrain-every", 15)
    assert json.loads(result.out)["retrain_every_days"] == 15


def test_a_bundle_is_judged_as_it_is(run, log: Path, tiny_bundle: Path) -> None:
    result = run("evaluate", "--bundle", tiny_bundle, log, "--json", "-")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["kind"] == "base"
    told = json.loads((tiny_bundle / "model.json").read_text())
    assert document["model_version"] == told["model_version"]


@pytest.mark.parametrize(
    "options", [("--base", "x"), ("--from-scratch",), ("--retrain-every", "7")]
)
def test_a_bundle_is_judged_without_training(run, log: Path, options: tuple[str, ...]) -> None:
    result = run("evaluate", "--bundle", "y", log, *options)
    assert result.code == 2
    assert "a --bundle is judged as it is" in result.err


def test_on_a_terminal_one_bar_shows_how_far_it_is(
    run, log: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    result = run("evaluate", log, "--bundle", tiny_bundle)
    assert result.code == 0
    assert "judging" in result.err


def test_answers_of_edition_1_0_are_read_before_the_work(
    run, log: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "answers.parquet").write_text("none")
    beside = ("--beside", tmp_path / "answers.parquet")
    result = run("evaluate", log, "--bundle", tiny_bundle, *beside)
    assert result.code == 1
    assert "answers.parquet cannot be read as Parquet" in result.err


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    run, log: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    result = run("evaluate", log, "-o", tmp_path / "file")
    assert result.code == 2
    assert result.err == f"error: {tmp_path / 'file'} cannot be made a folder: File exists\n"
    result = run("evaluate", log, "--json", tmp_path / "none" / "x.json")
    assert result.code == 2
    assert "x.json cannot be written: No such file or directory" in result.err
    assert (tmp_path / "file").read_text() == "mine"


def test_no_empty_document_is_left_behind(run, config: Path, tmp_path: Path) -> None:
    generate_jobs(20, seed=1).write_csv(tmp_path / "few.csv")
    options = ("--json", tmp_path / "x.json", "--config", config)
    result = run("evaluate", tmp_path / "few.csv", *options)
    assert result.code == 1
    assert "at least 30 are needed" in result.err
    assert not (tmp_path / "x.json").exists()


def test_a_log_that_is_not_there_is_one_line(run, config: Path, tmp_path: Path) -> None:
    result = run("evaluate", tmp_path / "none.swf", "--config", config)
    assert (result.code, result.err) == (1, f"error: {tmp_path / 'none.swf'} does not exist\n")


def test_libraries_that_are_missing_are_named_with_how_to_get_them(
    run, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "xgboost" else find(name)
    )
    result = run("evaluate", log)
    assert result.code == 3
    assert "needs xgboost: install" in result.err
