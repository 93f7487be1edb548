"""`rt-predictor train`: from a job log to a bundle that answers."""

import importlib.util
import json
from pathlib import Path

import pytest

from rt_predictor.traces.generate import generate_jobs

pytestmark = pytest.mark.slow

pytest.importorskip("catboost", reason="the libraries of the extra `train` are not installed")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job log in two files, with one record that never started and one that is no record."""
    folder = tmp_path_factory.mktemp("log")
    jobs = generate_jobs(3000, seed=1)
    jobs.head(2000).write_csv(folder / "a.csv")
    jobs.tail(1000).write_csv(folder / "b.csv")
    lines = (folder / "b.csv").read_text().splitlines()
    names = lines[0].split(",")
    pending = {"submit_time": "1600000000", "state": "PENDING"}
    broken = {"submit_time": "yesterday", "runtime": "5"}
    lines += [",".join(row.get(name, "") for name in names) for row in (pending, broken)]
    (folder / "b.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_log_becomes_a_bundle_that_answers(run, log: Path, config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "ours"
    result = run("train", log / "a.csv", log / "b.csv", "-o", folder, "--config", config)
    assert result.code == 0, result.err
    assert "read 3,000 finished jobs from 3,002 records" in result.err
    assert "left out: never started: 1" in result.err
    assert "left out: malformed: 1, e.g. line 1003: " in result.err
    for words in ("ensemble", "xgboost", "backoff_median5", "accuracy", "90 % intervals hold"):
        assert words in result.out
    told = json.loads((folder / "model.json").read_text())
    assert result.out.splitlines()[-1] == f"wrote model {told['model_version']} to {folder}"
    assert [entry["name"] for entry in told["training_logs"]] == ["a.csv + b.csv"]
    assert told["base_version"]


def test_a_model_can_start_from_nothing(run, log: Path, config: Path, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "x", "--config", config, "--from-scratch")
    result = run("train", log / "a.csv", *options)
    assert result.code == 0, result.err
    told = json.loads((tmp_path / "x" / "model.json").read_text())
    assert told["base_version"] is None


def test_the_base_model_is_not_overwritten(run, log: Path, config: Path, tiny_bundle: Path) -> None:
    result = run("train", log / "a.csv", "-o", tiny_bundle, "--config", config)
    assert result.code == 2
    assert result.err == f"error: {tiny_bundle} holds the base model: choose another folder\n"


def test_without_a_base_model_it_says_how_to_go_on(run, log: Path, tmp_path: Path) -> None:
    result = run("train", log / "a.csv", "-o", tmp_path / "x", "--base", tmp_path / "none")
    assert result.code == 3
    assert f"no model bundle at {tmp_path / 'none'} to start from: name one" in result.err


def test_on_a_terminal_one_bar_shows_how_far_it_is(
    run, log: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    result = run("train", log / "b.csv", "-o", tmp_path / "x", "--config", config)
    assert result.code == 0, result.err
    assert "100%" in result.err


def test_what_the_reader_had_to_decide_is_noted(run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "few.swf").write_text("1 0 0 100 4 -1 -1 4 600 -1 1 3 1 -1 1 1 -1 -1\n")
    result = run("train", tmp_path / "few.swf", "-o", tmp_path / "x", "--config", config)
    assert result.code == 1
    assert "  note: " in result.err


def test_a_format_can_be_named(run, log: Path, config: Path, tmp_path: Path) -> None:
    options = ("-o", tmp_path / "x", "--format", "swf", "--config", config)
    result = run("train", log / "a.csv", *options)
    assert result.code == 1
    assert "malformed as swf" in result.err


def test_a_log_that_is_not_there_is_one_line(run, config: Path, tmp_path: Path) -> None:
    result = run("train", tmp_path / "none.swf", "-o", tmp_path / "x", "--config", config)
    assert (result.code, result.err) == (1, f"error: {tmp_path / 'none.swf'} does not exist\n")


def test_too_few_jobs_write_nothing(run, config: Path, tmp_path: Path) -> None:
    generate_jobs(20, seed=1).write_csv(tmp_path / "few.csv")
    result = run("train", tmp_path / "few.csv", "-o", tmp_path / "x", "--config", config)
    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "x").exists()


def test_wrong_settings_exit_3(run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[training]\nsed = 1")
    result = run("train", log / "a.csv", "-o", tmp_path / "x", "--config", tmp_path / "bad.toml")
    assert result.code == 3
    assert "unknown setting training.sed (did you mean seed?)" in result.err


def test_libraries_that_are_missing_are_named_with_how_to_get_them(
    run, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    missing = ("lightgbm", "xgboost")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else find(name)
    )
    result = run("train", log / "a.csv", "-o", tmp_path / "x")
    assert (result.code, result.err) == (
        3,
        "error: training needs lightgbm, xgboost: install them with `pip install "
        "'rt-predictor[train]'`\n",
    )


def test_a_library_that_does_not_load_says_what_the_system_lacks(
    run, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_module(name: str) -> None:
        raise OSError("libgomp.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(importlib, "import_module", import_module)
    result = run("train", log / "a.csv", "-o", tmp_path / "x")
    assert result.code == 3
    assert "libgomp.so.1: cannot open" in result.err
    assert "install libgomp1" in result.err
