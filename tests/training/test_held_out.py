"""The evaluation is what a service would have answered, and nothing in it looks ahead."""

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.features.jobs import JOB_SCHEMA, REQUEST_SCHEMA
from rt_predictor.history.history import History
from rt_predictor.serving.predictor import Predictor
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.baselines import baselines
from rt_predictor.training.pipeline import TrainingReport, train
from rt_predictor.training.replay import replay
from rt_predictor.training.split import scorable

FEW = 200


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return generate_jobs(2500, seed=21)


@pytest.fixture(scope="module")
def report(
    log: pl.DataFrame, tiny_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> TrainingReport:
    folder = tmp_path_factory.mktemp("held-out") / "bundle"
    return train(log, ["made-up"], folder, tiny_settings)


def test_a_service_fed_in_the_order_of_ends_gives_the_answers_of_the_evaluation(
    log: pl.DataFrame, report: TrainingReport, tiny_settings: Settings, tmp_path: Path
) -> None:
    settings = tiny_settings.with_overrides(
        {"model.path": report.folder, "history.path": tmp_path / "history.sqlite"}
    )
    history = History(settings.history)
    predictor = Predictor.load(settings, history)
    history.start()
    try:
        asked = report.replayed.jobs[:FEW].select(*REQUEST_SCHEMA)
        ended = scorable(log).sort("end_time", maintain_order=True).select(*JOB_SCHEMA)
        ends_s, recorded, said = ended["end_time"].to_numpy(), 0, []
        for row, submit_s in enumerate(asked["submit_time"].to_list()):
            visible = int(np.searchsorted(ends_s, submit_s, side="right"))
            if visible > recorded:
                history.record(ended[recorded:visible]).result(timeout=30)
                recorded = visible
                wait_until_folded(history, recorded)
            said.append(predictor.predict(asked[row : row + 1]))
    finally:
        history.stop()
    found = np.concatenate([one.runtime_s for one in said])
    np.testing.assert_array_equal(found, report.replayed.predicted_s[:FEW])
    for place, name in enumerate(predictor.member_names):
        one = np.concatenate([answer.members_s[:, place] for answer in said])
        np.testing.assert_array_equal(one, report.replayed.members[name][:FEW])
    lower = np.concatenate([one.lower_s for one in said])
    np.testing.assert_array_equal(lower, report.replayed.lower_s[:FEW, 0])


def wait_until_folded(history: History, events: int) -> None:
    for _ in range(3000):
        if history.state().position >= events:
            return
        time.sleep(0.01)
    pytest.fail("the outcomes were not folded within 30 s")


def test_no_answer_depends_on_a_job_that_had_not_ended(
    log: pl.DataFrame, report: TrainingReport, tiny_settings: Settings, tmp_path: Path
) -> None:
    now_s = float(report.replayed.jobs["submit_time"][FEW])
    later = pl.col("end_time") > now_s
    changed = log.with_columns(
        runtime=pl.when(later).then(pl.col("runtime") * 5).otherwise("runtime")
    )
    again = train(changed, ["made-up"], tmp_path / "b", tiny_settings).replayed
    asked_by_then = (report.replayed.jobs["submit_time"] <= now_s).to_numpy()
    assert asked_by_then.sum() > FEW
    np.testing.assert_array_equal(
        again.predicted_s[asked_by_then], report.replayed.predicted_s[asked_by_then]
    )
    assert (again.predicted_s != report.replayed.predicted_s).any()


def test_after_a_change_of_the_workload_it_is_not_much_worse_than_the_last_runs(
    tiny_settings: Settings,
) -> None:
    jobs = generate_jobs(5000, seed=5)
    half_s = float(jobs["submit_time"].quantile(0.8))  # type: ignore[arg-type]
    slower = pl.col("submit_time") > half_s
    # Programs became ten times as fast: what the trees learned is wrong from then on.
    runtime = pl.when(slower).then((pl.col("runtime") / 10).clip(1)).otherwise("runtime")
    jobs = jobs.with_columns(runtime=runtime).with_columns(
        end_time=pl.col("start_time") + pl.col("runtime")
    )
    found = replay(jobs, tiny_settings, None, lambda _step, _share: None)
    after = (found.jobs["submit_time"] > half_s).to_numpy()
    runtime_s = found.jobs["runtime"].to_numpy()[after]
    recent = baselines(scorable(jobs), found.jobs)["backoff_median5"][after]
    ours = np.abs(found.predicted_s[after] - runtime_s).mean()
    assert ours <= 1.15 * np.abs(recent - runtime_s).mean()
    trees = np.abs(found.members["lightgbm_request"][after] - runtime_s).mean()
    assert ours < 0.9 * trees
