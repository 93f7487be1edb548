"""`rt-predictor train --every DAYS --watch`: a real renewal, from recorded jobs to a bundle."""

import json
from pathlib import Path

import polars as pl
import pytest

from rt_predictor.eventlog.files import open_log
from rt_predictor.jobs.events import ended_events
from rt_predictor.model.bundle import read_bundle
from rt_predictor.traces.generate import generate_jobs
from tests.model.plain_bundle import write_plain_bundle

from .conftest import Run

pytestmark = pytest.mark.slow

pytest.importorskip("catboost", reason="the libraries of the extra `train` are not installed")

JOBS = generate_jobs(2400, seed=12).sort("end_time")
SETTINGS = """
[model]
path = "{folder}/models/served"
shadow_path = "{folder}/models/candidate"
watch = true
[history]
path = "{folder}/history.sqlite"
"""


@pytest.fixture
def settings(tmp_path: Path, config: Path) -> Path:
    config.write_text(config.read_text() + SETTINGS.format(folder=tmp_path))
    write_plain_bundle(tmp_path / "models" / "served", version="plain")
    return config


def record(folder: Path, jobs: pl.DataFrame) -> None:
    log = open_log(folder / "history.sqlite")
    log.append(ended_events(jobs))
    log.close()


def make_due(folder: Path) -> None:
    """Have the last training lie a month back."""
    path = folder / "models" / "candidate.renewal" / "renewal.json"
    state = json.loads(path.read_text())
    state["candidate"]["trained_at_s"] -= 30 * 86400
    path.write_text(json.dumps(state))


def test_a_better_model_is_trained_shown_to_the_shadow_and_promoted(
    run: Run, settings: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    arguments = ("train", "--every", "7", "--watch", "--once", "--config", settings)
    models = tmp_path / "models"
    record(tmp_path, JOBS[:400])
    few = run(*arguments)
    assert (few.code, few.out) == (0, "")
    assert "no renewal: new jobs since the last one: 400, needed: 500" in few.err

    record(tmp_path, JOBS[400:1600])
    first = run(*arguments)
    assert first.code == 0, first.err
    assert "renewal: tuning" in first.err
    candidate = read_bundle(models / "candidate").info
    assert candidate.base_version == read_bundle(tiny_bundle).info.model_version
    assert candidate.training_samples == 1600
    assert f"model_version={candidate.model_version}" in first.err
    assert read_bundle(models / "served").info.model_version == "plain"

    again = run(*arguments)
    assert "the next renewal is not due yet due_in_days=7.0" in again.err
    make_due(tmp_path)
    record(tmp_path, JOBS[1600:])
    second = run(*arguments)
    assert second.code == 0, second.err
    assert "the candidate is promoted: it is no worse: on " in second.err
    assert read_bundle(models / "served").info.model_version == candidate.model_version
    assert read_bundle(models / "served.previous").info.model_version == "plain"
    assert read_bundle(models / "candidate").info.training_samples == 2400


def test_job_logs_are_read_beside_what_is_recorded(
    run: Run, settings: Path, tmp_path: Path
) -> None:
    record(tmp_path, JOBS[:300])
    JOBS[200:550].write_csv(tmp_path / "jobs.csv")
    options = ("--watch", "--once", "--every", "7", "--config", settings)
    result = run("train", tmp_path / "jobs.csv", *options, "-o", tmp_path / "mine")
    assert result.code == 0, result.err
    info = read_bundle(tmp_path / "mine").info
    assert info.training_samples == 550
    assert [log.name for log in info.training_logs] == ["history.sqlite + jobs.csv"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--watch"], "--watch needs --every DAYS"),
        (["--every", "7"], "--every and --once go with --watch"),
        (["log.csv", "-o", "x", "--once"], "--every and --once go with --watch"),
        (["--watch", "--every", "7", "--from-scratch"], "starts from the base model"),
        ([], "name a job log to train on"),
        (["log.csv"], "say where the model bundle goes"),
    ],
)
def test_options_that_do_not_go_together_exit_2(run: Run, arguments: list[str], says: str) -> None:
    result = run("train", *arguments)
    assert (result.code, result.out) == (2, "")
    assert says in result.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "set model.shadow_path, or give -o DIR"),
        (["-o", "artifacts/production"], "artifacts/production holds a model in use"),
        (["-o", "x"], "artifacts/production is both the bundle in service (model.path) and the"),
    ],
)
def test_settings_with_which_nothing_can_be_renewed_exit_3(
    run: Run, arguments: list[str], says: str
) -> None:
    result = run("train", "--watch", "--every", "7", *arguments)
    assert (result.code, result.out) == (3, "")
    assert says in result.err


def test_what_cannot_start_exits_3_in_one_line(run: Run, settings: Path) -> None:
    arguments = ("train", "--every", "7", "--watch", "--config", settings)
    result = run(*arguments)
    assert result.code == 3
    assert result.err.splitlines()[-1].startswith("error: there is no history log")
    settings.write_text(settings.read_text() + "enabled = false\n")
    result = run(*arguments)
    assert result.code == 3
    assert "error: history is switched off (history.enabled)" in result.err
