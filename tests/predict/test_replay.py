"""Answers follow from the events before their time, however these came in."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rt_predictor.history.fold import Fold
from rt_predictor.history.fold_keeper import FoldKeeper
from rt_predictor.history.history import History
from rt_predictor.jobs.schema import REQUEST_SCHEMA
from rt_predictor.predict.predictions import Predictions
from rt_predictor.predict.predictor import Predictor
from rt_predictor.settings import HistorySettings
from tests.predict.plain import (
    a_log,
    assert_same_rows,
    events_of,
    fold_of,
    knowing,
    predictor_of,
    questions,
    state_of,
)
from tests.waiting import PATIENCE_S, until

LOG = a_log(700)
EVENTS = events_of(LOG)
JOBS = questions(120, LOG, seed=3)
EVERY = list(range(len(JOBS)))


def keeper_of(predictor: Predictor) -> FoldKeeper:
    return FoldKeeper(state_of(predictor).model, 10**6, 10**6)


def use(predictor: Predictor, fold: Fold) -> None:
    predictor._history._follower.fold = fold


def answers_after(
    predictor: Predictor, pieces: Sequence[pl.DataFrame], *, saved: bool
) -> Predictions:
    """Return the answers once pieces of the log are folded, from a snapshot before each or not."""
    keeper = keeper_of(predictor)
    fold = keeper.empty()
    position = 0
    for piece in pieces:
        position += len(piece)
        fold.take(piece, position)
        if saved:
            fold = keeper.restored(keeper.stored(fold))
    use(predictor, fold)
    return predictor.predict(JOBS)


@pytest.fixture(scope="module")
def predictor(plain_bundle: Path) -> Predictor:
    return predictor_of(plain_bundle, History.off())


@pytest.fixture(scope="module")
def whole(predictor: Predictor) -> Predictions:
    return answers_after(predictor, [EVENTS], saved=False)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, len(EVENTS) - 1), max_size=5), saved=st.booleans())
def test_answers_do_not_depend_on_the_pieces_in_which_the_log_was_folded(
    cuts: list[int], saved: bool, predictor: Predictor, whole: Predictions
) -> None:
    edges = [0, *sorted(set(cuts)), len(EVENTS)]
    pieces = [EVENTS[start:stop] for start, stop in pairwise(edges)]
    assert_same_rows(answers_after(predictor, pieces, saved=saved), EVERY, whole)
    figures = state_of(predictor).figures
    assert figures.jobs == len(LOG)


@settings(max_examples=12, deadline=None)
@given(share=st.floats(0.05, 0.95), seed=st.integers(0, 2**32))
def test_an_event_after_a_time_changes_no_answer_as_of_that_time(
    share: float, seed: int, predictor: Predictor
) -> None:
    count = int(len(EVENTS) * share)
    at_s = float(EVENTS["event_time"][count])
    before = EVENTS.filter(pl.col("event_time") <= at_s)
    jobs = questions(40, LOG, seed).with_columns(
        submit_time=pl.lit(at_s), elapsed=pl.lit(None, pl.Float64), as_of=pl.lit(None, pl.Float64)
    )
    keeper = keeper_of(predictor)
    found = []
    for events in (before, EVENTS):
        fold = keeper.empty()
        fold.take(events, len(events))
        use(predictor, fold)
        found.append(predictor.predict(jobs))
    # Which names are known is told as of now.
    assert_same_rows(found[1], list(range(len(jobs))), found[0], flags=False)


def test_a_service_answers_at_each_submit_what_is_told_of_the_whole_log_later(
    plain_bundle: Path, tmp_path: Path
) -> None:
    log = LOG[:250]
    events = events_of(log)
    asked = log.select(list(REQUEST_SCHEMA))
    history = History(HistorySettings(path=tmp_path / "history.sqlite"))
    service = predictor_of(plain_bundle, history)
    history.start()
    answers, told = [], 0
    try:
        for submit_s in asked["submit_time"].unique(maintain_order=True):
            news = events.filter(pl.col("event_time") <= submit_s)[told:]
            if len(news):
                history.record(news).result(PATIENCE_S)
                told += len(news)
                until(lambda told=told: history.state().position >= told, pause_s=0.001)  # type: ignore[misc]
            answers.append(service.predict(asked.filter(pl.col("submit_time") == submit_s)))
    finally:
        history.stop()
    assert len(answers) > 50, "outcomes and predictions took turns too seldom"
    later = knowing(plain_bundle, events).predict(asked)
    for name in ("runtime_s", "lower_s", "upper_s", "timeout_probability", "members_s"):
        found = np.concatenate([getattr(answer, name) for answer in answers])
        np.testing.assert_array_equal(found, getattr(later, name), err_msg=name)


def test_a_restarted_service_goes_on_from_its_snapshot(plain_bundle: Path, tmp_path: Path) -> None:
    found = []
    for piece in (EVENTS[:900], EVENTS[900:]):
        history = History(HistorySettings(path=tmp_path / "history.sqlite"))
        service = predictor_of(plain_bundle, history)
        history.start()
        assert history.wait_until_read()
        history.record(piece).result(PATIENCE_S)
        until(lambda history=history: not history.state().behind)  # type: ignore[misc]
        until(lambda piece=piece, service=service: fold_of(service).position >= piece.height)  # type: ignore[misc]
        found.append(service)
        history.stop()
    assert fold_of(found[1]).position == len(EVENTS)
    whole = knowing(plain_bundle, EVENTS).predict(JOBS)
    assert_same_rows(found[1].predict(JOBS), EVERY, whole)
    assert found[1]._history.state().folded == len(EVENTS) - 900, "the rest came from the snapshot"
