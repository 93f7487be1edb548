"""A service that hears of every end in time says what the evaluation said it would."""

from pathlib import Path

import numpy as np
import polars as pl
from rt_predictor.model.bounds import LEVELS
from rt_predictor.training.pipeline import TrainingReport

from rt_predictor.eventlog.files import open_log
from rt_predictor.history.history import History
from rt_predictor.jobs.events import ended_events
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.serving.predictor import Predictor
from rt_predictor.settings import HistorySettings, Settings
from tests.serving.replayed import ended_before, steps
from tests.waiting import PATIENCE_S, until

LEVEL = LEVELS.index(0.9)


def until_folded(history: History, events: int) -> None:
    until(lambda: history.state().position >= events, pause_s=0.001)


def test_a_service_predicts_what_the_held_out_replay_did_bit_for_bit(
    tiny_training: TrainingReport, tiny_log: pl.DataFrame, tmp_path: Path
) -> None:
    mark_s = tiny_training.bundle.info.training_span_end
    before = ended_before(tiny_log, mark_s)
    log = open_log(tmp_path / "history.sqlite")
    log.append(ended_events(before))
    log.close()
    history = History(HistorySettings(path=tmp_path / "history.sqlite"))
    predictor = Predictor.load(
        Settings().with_overrides({"model.path": tiny_training.folder}), history
    )
    history.start()
    try:
        told = len(before)
        until_folded(history, told)
        answers = []
        for step in steps(tiny_log, mark_s):
            if len(step.ended):
                assert history.record(ended_events(step.ended)).result(PATIENCE_S).recorded == len(
                    step.ended
                )
                told += len(step.ended)
                until_folded(history, told)
            answers.append(predictor.predict(step.asked.select(list(REQUEST_SCHEMA))))
    finally:
        history.stop()
    replayed = tiny_training.replayed
    assert len(answers) > 100, "outcomes and predictions took turns too seldom"
    for name, expected in (
        ("runtime_s", replayed.predicted_s),
        ("lower_s", replayed.lower_s[:, LEVEL]),
        ("upper_s", replayed.upper_s[:, LEVEL]),
        ("timeout_probability", replayed.timeout_probability),
        ("members_s", np.column_stack([*replayed.members.values()])),
    ):
        found = np.concatenate([getattr(answer, name) for answer in answers])
        np.testing.assert_array_equal(found, expected, err_msg=name)
