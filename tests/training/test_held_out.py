"""The replay of the held-out span: causal, and robust where the workload changes."""

import numpy as np
import polars as pl
import pytest

from rt_predictor.model.bounds import TAILS
from rt_predictor.model.ports import GraphInputs, GraphOutputs
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from rt_predictor.training.baselines import baselines
from rt_predictor.training.combine import EXPERTS
from rt_predictor.training.ensemble import nothing_known
from rt_predictor.training.exported import ExportedGraph, export_graph
from rt_predictor.training.held_out import answer_without_history, replay_held_out
from rt_predictor.training.prepare import prepare_log
from rt_predictor.training.replay import replay
from rt_predictor.training.replayed import Replayed
from rt_predictor.training.split import scorable
from tests.training.fitted import Fitted, fit_prepared


@pytest.fixture(scope="module")
def exported(fitted: Fitted) -> ExportedGraph:
    return export_graph(fitted.ensemble, fitted.models)


def replayed(fitted: Fitted, exported: ExportedGraph, jobs: pl.DataFrame) -> Replayed:
    """What the same model says of a log."""
    log = prepare_log(jobs, fitted.settings.training)
    return replay_held_out(log, exported, {}, None)


def said(found: Replayed, rows: np.ndarray) -> list[np.ndarray]:
    answers = (found.predicted_s, found.lower_s, found.upper_s, *found.members.values())
    return [answer[rows] for answer in answers]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_jobs_that_had_not_ended_change_no_prediction(
    share: float, fitted: Fitted, exported: ExportedGraph
) -> None:
    jobs = fitted.log.jobs.drop("row")
    test = fitted.log.split.test
    now = test["submit_time"][int(share * len(test))]
    later = pl.col("end_time") > now
    changed = jobs.with_columns(
        runtime=pl.when(later).then(pl.col("runtime") * 5 + 3).otherwise("runtime"),
        end_time=pl.when(later).then(pl.col("end_time") + 1000).otherwise("end_time"),
        user=pl.when(pl.col("submit_time") > now).then(pl.lit("mallory")).otherwise("user"),
    )
    before, after = (replayed(fitted, exported, log) for log in (jobs, changed))
    visible = (before.jobs["submit_time"] <= now).to_numpy()
    assert visible.any()
    for found, expected in zip(said(after, visible), said(before, visible), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (after.predicted_s[~visible] != before.predicted_s[~visible]).any()


def test_outcomes_move_the_weights_and_the_intervals(
    fitted: Fitted, exported: ExportedGraph
) -> None:
    """Not the history features alone: the same inputs without losses give other answers."""
    log = fitted.log
    found = replay_held_out(log, exported, {}, None)
    inputs = fitted.ensemble.encoder.encode(log, log.split.test).inputs
    offsets = np.zeros((len(inputs), TAILS), np.float32)
    given = GraphInputs.of(inputs, nothing_known(len(inputs)), offsets)
    without = GraphOutputs(exported.session.run(given.matrix))
    assert (found.predicted_s != without.prediction).mean() > 0.02
    assert (found.lower_s != without.lower).mean() > 0.5
    assert tuple(found.members) == EXPERTS


def test_a_model_without_history_says_the_same_whoever_asks(fitted: Fitted) -> None:
    blind = fit_prepared(fitted.log.without_history(), fitted.settings)
    answers = answer_without_history(blind.log, blind.ensemble)
    renamed = prepare_log(
        fitted.log.jobs.drop("row").with_columns(user=pl.lit("one")), fitted.settings.training
    ).without_history()
    np.testing.assert_array_equal(answer_without_history(renamed, blind.ensemble), answers)
    assert len(answers) == len(fitted.log.split.test)


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
