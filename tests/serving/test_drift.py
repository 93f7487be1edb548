"""The committed model when runtimes change at once: what is told follows, and health says so.

A made-up stream on a machine that the model has never seen: a job every six seconds, each of one
of fifty users whose jobs take about as long as ever, so that some 600 are under way at a time. From
one job on all take twice, or three times, as long. Nobody can know before the first of those has
ended.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rt_predictor.history.judge import Told
from rt_predictor.history.windows import Float
from rt_predictor.model.bounds import LEVELS
from rt_predictor.model.said import Said

from rt_predictor.history.history import History
from rt_predictor.jobs.events import ended_events
from rt_predictor.jobs.schema import JOB_SCHEMA
from rt_predictor.serving.health import HealthReport, State, coverage_check
from rt_predictor.serving.predictor import Predictor
from rt_predictor.settings import HistorySettings, Settings
from tests.waiting import PATIENCE_S, until

BUNDLE = Path(__file__).resolve().parents[2] / "artifacts" / "production"
LEVEL = 0.9
WATCHING = Settings().watching
LEAST = LEVEL - WATCHING.coverage_band
JOBS = 18_000
CHANGED_AT = 12_000
"""Until then offsets narrow: the model comes from another machine."""
EVERY_S = 6.0
START_S = 1.7e9
USERS = 50
A_LOOK = 100
"""Jobs between two looks at the health."""


def stream(factor: float) -> pl.DataFrame:
    """Finished jobs in the order of their end; those from `CHANGED_AT` on take longer."""
    rng = np.random.default_rng(1)
    user = rng.integers(0, USERS, JOBS)
    typical_s = rng.permutation(np.geomspace(1800, 7200, USERS))[user]
    number = np.arange(JOBS)
    submit_s = START_S + number * EVERY_S
    limit_s = np.ceil(typical_s * 8 / 1800) * 1800
    usual_s = np.round(typical_s * np.exp(rng.normal(0, 0.25, JOBS)))
    runtime_s = np.minimum(np.where(number >= CHANGED_AT, factor, 1) * usual_s, limit_s)
    numbers = {"submit_time": submit_s, "time_req": limit_s, "runtime": runtime_s}
    frame = pl.DataFrame({**numbers, "user": user.astype(str), "job_id": number.astype(str)})
    others = {"processors_req": 4.0, "nodes_req": 1.0, "mem_req": 4000.0, "partition": "normal"}
    return (
        frame.with_columns(
            pl.col("submit_time").alias("start_time"),
            (pl.col("submit_time") + pl.col("runtime")).alias("end_time"),
            *(pl.lit(value).alias(name) for name, value in others.items()),
            *(pl.lit(None).alias(name) for name in ("gpus_req", "qos", "account", "job_name")),
            pl.lit("COMPLETED").alias("state"),
        )
        .select(pl.col(name).cast(kind) for name, kind in JOB_SCHEMA.items())
        .sort("end_time", maintain_order=True)
    )


@dataclass
class Lived:
    """What became of a stream."""

    held: np.ndarray
    """[n] whether each job from the change on lay within the 90 % interval that it was told"""
    states: list[State]
    """How the part `coverage` was at each look"""
    coverage: list[float]
    """What it was judged by"""
    whole: list[State]
    """How the service was"""

    def blocks(self, jobs: int) -> np.ndarray:
        """Coverage of one block of jobs after the other."""
        return self.held[: len(self.held) // jobs * jobs].reshape(-1, jobs).mean(axis=1)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A log of what ended before the change, with its snapshot; and how many jobs that is."""
    folder = tmp_path_factory.mktemp("before")
    log = stream(1).filter(pl.col("end_time") < START_S + CHANGED_AT * EVERY_S)
    _, history = service(folder)
    history.record(ended_events(log)).result(PATIENCE_S)
    until(lambda: history.state().position == len(log))
    history.stop()
    return folder, len(log)


def service(folder: Path) -> tuple[Predictor, History]:
    """The committed model over a log, as a worker has them."""
    patient = HistorySettings(path=folder / "history.sqlite", catch_up_timeout_s=PATIENCE_S)
    history = History(patient)
    one_thread = {"model.path": BUNDLE, "features.optimization.n_jobs": 1}
    predictor = Predictor.load(Settings().with_overrides(one_thread), history)
    history.start()
    assert history.wait_until_read()
    return predictor, history


def lived(
    before: tuple[Path, int], folder: Path, factor: float, monkeypatch: pytest.MonkeyPatch
) -> Lived:
    """Goes on from before: outcomes come in, and health is looked at now and then."""
    shutil.copytree(before[0], folder)
    log = stream(factor)[before[1] :]
    _, history = service(folder)
    told: list[Told] = []
    tells = Told.of

    def listen(said: Said, offsets: Float) -> Told:
        told.append(tells(said, offsets))
        return told[-1]

    monkeypatch.setattr(Told, "of", listen)
    report = HealthReport({"coverage": coverage_check(history, LEVEL, WATCHING)})
    report.ready()
    found = Lived(np.empty(0), [], [], [])
    for start in range(0, len(log), A_LOOK):
        piece = log[start : start + A_LOOK]
        history.record(ended_events(piece)).result(PATIENCE_S)
        end = before[1] + start + len(piece)
        until(lambda end=end: history.state().position == end)  # type: ignore[misc]
        parts = report.parts()
        found.states.append(parts["coverage"].state)
        found.coverage.append(history.live().coverage[LEVEL])
        found.whole.append(report.whole(parts).state)
    history.stop()
    place, ran = LEVELS.index(LEVEL), log["runtime"].to_numpy()
    lower, upper = (
        np.concatenate([getattr(part, end)[:, place] for part in told])
        for end in ("lower_s", "upper_s")
    )
    changed = int((log["job_id"].cast(int) >= CHANGED_AT).arg_max() or 0)
    found.held = ((lower <= ran) & (ran <= upper))[changed:]
    return found


def test_when_runtimes_double_coverage_is_back_within_2400_jobs(
    before: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many are under way then, 1,200: so many are told before the first has ended."""
    blocks = lived(before, tmp_path / "log", 2, monkeypatch).blocks(200)
    assert blocks.min() < LEAST - 0.1, "it was no change that had to be followed"
    assert blocks[2400 // 200 :].min() >= LEAST


def test_the_health_note_comes_while_coverage_is_out_of_its_band_and_goes(
    before: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lived(before, tmp_path / "log", 3, monkeypatch)
    for state, coverage in zip(found.states, found.coverage, strict=True):
        in_band = abs(coverage - LEVEL) <= WATCHING.coverage_band
        assert state is (State.SERVING if in_band else State.DEGRADED)
    below = [coverage < LEAST for coverage in found.coverage]
    first, last = below.index(True), len(below) - below[::-1].index(True)
    assert all(below[first:last])
    assert State.SERVING in found.states[:first]
    assert State.SERVING in found.states[last:]
    assert found.whole == found.states
    assert State.NOT_SERVING not in found.whole
