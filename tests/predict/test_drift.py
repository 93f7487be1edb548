"""When runtimes change at once: what is told follows, and health says so meanwhile.

A made-up stream of jobs of fifty users, each of whose jobs take about as long as ever. From one job
on all take three times as long. Nobody can know before the first of those has ended.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from rt_predictor.jobs.events import ended_events
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.observability.health import HealthReport, State
from rt_predictor.online.live import CALIBRATION
from rt_predictor.predict.checks import coverage_check
from rt_predictor.settings import Settings
from tests.model.plain_bundle import write_plain_bundle
from tests.predict.plain import fold_of, predictor_of

pytestmark = pytest.mark.slow

LEVEL = 0.9
WATCHING = Settings().watching
LEAST = LEVEL - WATCHING.coverage_band
JOBS, CHANGED_AT, A_LOOK = 12_000, 5000, 100
EVERY_S = 6.0
START_S = 1.7e9
USERS = 50


def stream(factor: float) -> pl.DataFrame:
    """Finished jobs in the order of their end; those from `CHANGED_AT` on take longer."""
    rng = np.random.default_rng(1)
    user = rng.integers(0, USERS, JOBS)
    typical_s = rng.permutation(np.geomspace(900, 3600, USERS))[user]
    number = np.arange(JOBS)
    submit_s = START_S + number * EVERY_S
    limit_s = np.ceil(typical_s * 8 / 1800) * 1800
    usual_s = np.round(typical_s * np.exp(rng.normal(0, 0.25, JOBS)))
    runtime_s = np.minimum(np.where(number >= CHANGED_AT, factor, 1) * usual_s, limit_s)
    columns = {
        "submit_time": submit_s,
        "start_time": submit_s,
        "end_time": submit_s + runtime_s,
        "runtime": runtime_s,
        "time_req": limit_s,
        "processors_req": np.full(JOBS, 4.0),
        "user": user.astype(str),
        "job_id": number.astype(str),
        "state": ["COMPLETED"] * JOBS,
        "partition": ["normal"] * JOBS,
    }
    missing = dict.fromkeys(JOB_SCHEMA.keys() - columns.keys())
    return (
        pl.DataFrame(columns | missing, schema_overrides=dict(JOB_SCHEMA))
        .select(list(JOB_SCHEMA))
        .sort("end_time", maintain_order=True)
    )


@dataclass
class Lived:
    """What became of a stream, at each look."""

    states: list[State]
    coverage: list[float]
    whole: list[State]
    moved: list[float]
    """Population stability index of levels."""

    @property
    def change(self) -> int:
        """The first look after the change."""
        return CHANGED_AT // A_LOOK


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """A model of the site over the stream, looked at now and then."""
    bundle = tmp_path_factory.mktemp("drift") / "bundle"
    write_plain_bundle(bundle, learned=np.array([7], np.uint64))
    predictor = predictor_of(bundle)
    report = HealthReport({"coverage": coverage_check(predictor, WATCHING)})
    report.ready()
    found = Lived([], [], [], [])
    events = ended_events(stream(3))
    for stop in range(A_LOOK, len(events) + 1, A_LOOK):
        fold_of(predictor).take(events[stop - A_LOOK : stop], stop)
        parts = report.parts()
        live = predictor.live()
        found.states.append(parts["coverage"].state)
        found.coverage.append(live.coverage[LEVEL])
        found.whole.append(report.whole(parts).state)
        found.moved.append(live.drift[CALIBRATION].psi)
    return found


def test_nothing_is_said_while_too_few_jobs_have_ended(lived: Lived) -> None:
    few = WATCHING.least_jobs // A_LOOK - 1
    assert set(lived.states[:few]) == {State.SERVING}


def test_the_health_note_comes_while_coverage_is_out_of_its_band_and_goes(lived: Lived) -> None:
    few = WATCHING.least_jobs // A_LOOK
    for state, coverage in zip(lived.states[few:], lived.coverage[few:], strict=True):
        in_band = abs(coverage - LEVEL) <= WATCHING.coverage_band
        assert state is (State.SERVING if in_band else State.DEGRADED)
    below = [coverage < LEAST for coverage in lived.coverage[lived.change :]]
    assert lived.coverage[lived.change - 1] > LEAST
    assert any(below), "it was no change that had to be followed"
    first, last = below.index(True), len(below) - below[::-1].index(True)
    assert all(below[first:last])
    assert last < len(below), "the note goes once what is told has followed"
    assert State.NOT_SERVING not in lived.whole
    assert lived.whole == lived.states


def test_levels_move_when_runtimes_do_and_come_back(lived: Lived) -> None:
    before, after = lived.moved[lived.change - 1], lived.moved[lived.change :]
    assert max(after) > 2 * before
    assert after[-1] < max(after) / 2


def test_a_base_model_has_nothing_to_drift_from(plain_bundle: Path) -> None:
    predictor = predictor_of(plain_bundle)
    fold_of(predictor).take(ended_events(stream(1)[:600]), 600)
    live = predictor.live()
    assert live.jobs == 600
    assert live.drift == {}
