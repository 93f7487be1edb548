"""Checks of the parts, and what they add up to."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from rt_predictor.errors import StartupError
from rt_predictor.history.history import History, HistoryState
from rt_predictor.jobs.schema import Jobs
from rt_predictor.observability.health import (
    Health,
    HealthReport,
    State,
    history_check,
    memory_check,
)
from rt_predictor.online.live import LiveFigures
from rt_predictor.predict.checks import coverage_check, self_test
from rt_predictor.predict.predictions import Predictions
from rt_predictor.settings import WatchingSettings
from tests.observability.test_live_metrics import FIGURES
from tests.predict.fakes import FakePredictor

_GOOD = Health(State.SERVING, "fine")
_WORSE = Health(State.DEGRADED, "hot")
_BAD = Health(State.NOT_SERVING, "gone")


@pytest.mark.parametrize(
    ("parts", "state", "message"),
    [
        ({"model": _GOOD, "metrics": _GOOD}, State.SERVING, "all parts serve"),
        ({"model": _GOOD, "metrics": _WORSE}, State.DEGRADED, "metrics: hot"),
        ({"model": _GOOD, "metrics": _BAD}, State.DEGRADED, "metrics: gone"),
        ({"model": _WORSE, "metrics": _BAD}, State.DEGRADED, "model: hot; metrics: gone"),
        ({"model": _BAD, "metrics": _GOOD}, State.NOT_SERVING, "model: gone"),
    ],
)
def test_nothing_is_served_without_a_model_and_less_without_another_part(
    parts: dict[str, Health], state: State, message: str
) -> None:
    report = HealthReport({name: lambda part=part: part for name, part in parts.items()})
    report.ready()
    assert report.whole(report.parts()) == Health(state, message)


def test_it_is_not_ready_before_and_after() -> None:
    report = HealthReport({})
    assert report.whole({}) == Health(State.NOT_SERVING, "starting")
    report.ready()
    assert report.whole({}).state is State.SERVING
    report.draining()
    assert report.whole({}) == Health(State.NOT_SERVING, "shutting down")


def test_memory_is_told_in_mib() -> None:
    health = memory_check()
    assert health.state is State.SERVING
    assert health.message.endswith(" MiB resident")


@dataclass
class _Odd(FakePredictor):
    """Answers what no answer can be."""

    change: str = ""
    value: float = 0.0

    def predict(self, jobs: Jobs) -> Predictions:
        answer = super().predict(jobs)
        return replace(answer, **{self.change: np.full(len(jobs), self.value)})


def test_a_plain_job_is_answered() -> None:
    predictor = FakePredictor()
    self_test(predictor, 5.0)
    (jobs,) = predictor.asked
    assert jobs["submit_time"].to_list() == [5.0]


@pytest.mark.parametrize(
    ("change", "value"),
    [("runtime_s", np.nan), ("upper_s", np.inf), ("lower_s", 0.0), ("lower_s", 1e9)],
)
def test_a_model_with_impossible_answers_cannot_start(change: str, value: float) -> None:
    with pytest.raises(StartupError, match=r"fake-1 answers a plain job with .* --bundle"):
        self_test(_Odd(change=change, value=value), 0.0)


def test_a_model_that_fails_cannot_start() -> None:
    class _Broken(FakePredictor):
        def predict(self, jobs: Jobs) -> Predictions:
            raise RuntimeError("no" * len(jobs))

    with pytest.raises(StartupError, match=r"fails on a plain job \(RuntimeError: no\)"):
        self_test(_Broken(), 0.0)


@dataclass
class _Told:
    """History that is as it is told to be."""

    changes: dict[str, object]

    def state(self) -> HistoryState:
        return replace(History.off().state(), **{"enabled": True, **self.changes})


@pytest.mark.parametrize(
    ("changes", "state", "message"),
    [
        ({"enabled": False}, State.SERVING, "switched off (history.enabled)"),
        ({"events": 5, "keys": 7}, State.SERVING, "5 jobs under 7 keys"),
        ({"behind": 3}, State.SERVING, "0 jobs under 0 keys"),
        (
            {"behind": 3, "behind_s": 99.0},
            State.DEGRADED,
            "3 events of the log are not read yet",
        ),
        (
            {"behind_s": 99.0, "problems": ("the disk is full",)},
            State.DEGRADED,
            "the disk is full",
        ),
        (
            {"set_aside": ("a", "b")},
            State.DEGRADED,
            "a damaged log was set aside as b: import what it held anew, then delete it",
        ),
    ],
)
def test_history_is_degraded_by_what_an_operator_should_look_at(
    changes: dict[str, object], state: State, message: str
) -> None:
    assert history_check(_Told(changes))() == Health(state, message)


@dataclass
class _Live(FakePredictor):
    """A model that has live figures."""

    figures: LiveFigures = FIGURES

    def live(self) -> LiveFigures:
        return self.figures


@pytest.mark.parametrize(
    ("jobs", "coverage", "state", "message"),
    [
        (499, 0.1, State.SERVING, "499 of 500 finished jobs to judge by"),
        (500, 0.86, State.SERVING, "90% intervals hold 86.0% of the jobs that end now"),
        (500, 0.84, State.DEGRADED, "84.0% of the jobs that end now, not 85.0% to 95.0%: look for"),
        (500, 0.96, State.DEGRADED, "96.0% of the jobs that end now, not 85.0% to 95.0%: look for"),
    ],
)
def test_coverage_outside_of_its_band_is_worth_a_word(
    jobs: int, coverage: float, state: State, message: str
) -> None:
    live = replace(FIGURES, jobs=jobs, coverage={0.9: coverage})
    health = coverage_check(_Live(figures=live), WatchingSettings())()
    assert health.state is state
    assert message in health.message


def test_coverage_outside_of_its_band_does_not_stop_the_service() -> None:
    live = replace(FIGURES, jobs=9999, coverage={0.9: 0.0})
    check = coverage_check(_Live(figures=live), WatchingSettings())
    report = HealthReport({"model": lambda: _GOOD, "coverage": check})
    report.ready()
    assert report.whole(report.parts()).state is State.DEGRADED
