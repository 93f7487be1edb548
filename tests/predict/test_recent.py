"""Answers given lately: nobody can tell them from new ones."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_predictor.jobs.schema import REQUEST_SCHEMA, Row
from rt_predictor.predict.deduplicate import RecentAnswers
from rt_predictor.predict.predictor import Predictor
from rt_predictor.settings import Settings
from rt_predictor.traces.generate import generate_jobs
from tests.predict.fakes import FakePredictor


def row(time_req: float | None, user: str | None = "a") -> dict[str, float | str | None]:
    return dict.fromkeys(REQUEST_SCHEMA) | {"submit_time": 0.0, "time_req": time_req, "user": user}


class Asked:
    """A predictor that counts what it is asked, and a version of what it knows."""

    def __init__(self) -> None:
        self.predictor = FakePredictor()
        self.version = 0
        self.rows = 0

    def predict(self, job: Row):
        self.rows += 1
        return self.predictor.predict([job])


some_row = st.builds(row, st.sampled_from([None, 60.0, 70.0]), st.sampled_from([None, "a", "b"]))


@given(st.lists(some_row, max_size=20), st.integers(1, 5))
def test_answers_are_those_of_the_model(asked_for: list[Row], most: int) -> None:
    asked = Asked()
    recent = RecentAnswers(lambda: asked.version, most)
    for job in asked_for:
        found, expected = recent.predict(asked.predict, job), FakePredictor().predict([job])
        for name in ("runtime_s", "lower_s", "timeout_probability", "members_s", "flags"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert len(recent) <= most


def test_the_same_job_is_asked_for_once() -> None:
    asked = Asked()
    recent = RecentAnswers(lambda: asked.version)
    for limit in (60.0, 60.0, 70.0, 60.0, 70.0, 80.0):
        recent.predict(asked.predict, row(limit))
    assert asked.rows == 3


def test_nothing_is_kept_past_the_next_outcome() -> None:
    asked = Asked()
    recent = RecentAnswers(lambda: asked.version)
    recent.predict(asked.predict, row(60.0))
    asked.version += 1
    recent.predict(asked.predict, row(60.0))
    assert asked.rows == 2


def test_an_answer_found_while_an_outcome_came_in_is_not_kept_as_new() -> None:
    asked = Asked()
    recent = RecentAnswers(lambda: asked.version)

    def predict(job: Row):
        asked.version += 1
        return asked.predict(job)

    recent.predict(predict, row(60.0))
    recent.predict(asked.predict, row(60.0))
    assert asked.rows == 2


def test_the_oldest_answers_go_first() -> None:
    asked = Asked()
    recent = RecentAnswers(lambda: asked.version, most=2)
    for limit in (1.0, 2.0, 3.0):
        recent.predict(asked.predict, row(limit))
    recent.predict(asked.predict, row(2.0))
    assert asked.rows == 3
    recent.predict(asked.predict, row(1.0))
    assert asked.rows == 4


@pytest.mark.parametrize("caching", [True, False])
def test_the_predictor_keeps_answers_only_where_it_is_told_to(
    plain_bundle: Path, caching: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"model.path": plain_bundle, "features.optimization.enable_caching": caching}
    predictor = Predictor.load(Settings().with_overrides(chosen))
    jobs = generate_jobs(20, seed=4).select(list(REQUEST_SCHEMA))
    rows = jobs[:1].rows(named=True)
    first = predictor.predict(rows)
    with monkeypatch.context() as patch:
        if caching:
            patch.setattr(predictor, "_predicted", None)  # whoever calls it fails
        again = predictor.predict(rows)
    np.testing.assert_array_equal(first.members_s, again.members_s)
    np.testing.assert_array_equal(first.flags, again.flags)
    assert len(predictor.predict(pl.concat([jobs, jobs]))) == 40
