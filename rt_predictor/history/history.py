"""History as the service sees it: outcomes go in, what is known of jobs comes out."""

import time
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from rt_predictor.errors import HistoryOffError
from rt_predictor.eventlog.files import logs_set_aside
from rt_predictor.eventlog.follower import LogFollower
from rt_predictor.eventlog.port import Appended
from rt_predictor.eventlog.recorder import Recorder
from rt_predictor.eventlog.snapshots import snapshot_age_s
from rt_predictor.history.fold import Fold
from rt_predictor.history.fold_keeper import FoldKeeper
from rt_predictor.history.judge import Judge, NoExperts
from rt_predictor.history.key_ids import USER_KEY, key_ids
from rt_predictor.history.live import LiveFigures
from rt_predictor.history.replay import user_runs
from rt_predictor.history.windows import Float
from rt_predictor.jobs.schema import Jobs, numbers
from rt_predictor.model.bounds import history_group
from rt_predictor.model.ports import GraphInputs
from rt_predictor.settings import HistorySettings


@dataclass(frozen=True)
class Known:
    """What was known of n jobs at their submit times."""

    features: Float
    """[n, len(KEYS) * COLUMNS_A_KEY], as `LogHistory.features` gives them"""
    expert_losses: Float
    """[n, SCOPES, experts + 1], as `ExpertLosses.as_of` gives them"""
    offsets: Float
    """[n, TAILS], as `TailOffsets.as_of` gives them"""

    @property
    def knows_user(self) -> NDArray[np.bool_]:
        """[n] whether a job of the user had ended."""
        return np.asarray(user_runs(self.features) > 0)


@dataclass(frozen=True)
class HistoryState:
    """How history is, in this process."""

    enabled: bool
    position: int
    """Position in the log of the last event that is folded"""
    events: int
    """Events in memory"""
    keys: int
    """Keys in memory"""
    memory_bytes: int
    """What they take"""
    folded: int
    """Events read from the log and folded since this process started"""
    behind: int
    """Events of the log that are not folded yet"""
    behind_s: float
    """Time since memory was last known to hold all of the log"""
    commits: int
    """Commits of outcomes since this process started"""
    commit_s: float
    """Time that they took in all"""
    errors: int
    """How often the log could not be read or written since this process started"""
    problems: tuple[str, ...]
    """What is wrong now"""
    set_aside: tuple[str, ...]
    """Names of damaged logs that lie beside the log"""
    snapshot_age_s: float | None
    """None where there is no snapshot"""

    @property
    def in_step(self) -> bool:
        """Whether memory holds all that the log held a moment ago."""
        return self.behind_s < IN_STEP_S


IN_STEP_S = 5.0
"""How far memory may be behind before that is worth a word."""


class History:
    """Outcomes and what is known from them, in one process. Any thread may ask; none waits."""

    def __init__(self, settings: HistorySettings, name: str = "") -> None:
        """History that knows nothing: it reads nothing before `start`.

        `name` is "" in what serves; another keeps a snapshot of its own (`snapshot_path`).
        """
        self._name = name
        self._settings = settings
        self._started_s = time.monotonic()
        self._follower: LogFollower[Fold] = LogFollower(settings, self._keeper(NoExperts()), name)
        self._recorder = Recorder(settings.path, self._follower.wake)
        self._started = False

    @classmethod
    def off(cls) -> "History":
        """History that is switched off: it knows nothing, for ever."""
        return cls(HistorySettings(enabled=False))

    def use_judge(self, judge: Judge) -> None:
        """Says whose errors are folded. Before `start`."""
        self._follower.use_keeper(self._keeper(judge))

    def _keeper(self, judge: Judge) -> FoldKeeper:
        return FoldKeeper(judge, self._settings.max_events, self._settings.max_keys)

    def start(self) -> None:
        """Begins to read the log and to take outcomes in; does nothing if switched off."""
        if self._settings.enabled:
            self._started = True
            self._follower.start()
            self._recorder.start()

    def wait_until_read(self) -> bool:
        """Waits until the log has been read, for `catch_up_timeout_s` at most: whether it has."""
        if not self._started:
            return True
        return self._follower.wait_until_read(self._settings.catch_up_timeout_s)

    @property
    def read(self) -> bool:
        """Whether all that the log held has been folded once; so it is where there is none."""
        return not self._started or self._follower.progress.in_step_at_s is not None

    def stop(self) -> None:
        """Records what is waiting, writes a snapshot, and ends; once."""
        if self._started:
            self._started = False
            self._recorder.stop()
            self._follower.stop()

    def known(self, jobs: Jobs, room: GraphInputs | None = None) -> Known:
        """What was known of jobs at their submit times, none of which is missing.

        It is put into `room` where that is given; what the jobs ask for is left as it is there.
        """
        fold = self._follower.fold
        if room is None:
            room = GraphInputs.room(len(jobs), fold.model.judge.experts)
        ids, submit_s = key_ids(jobs), numbers(jobs, "submit_time")
        features = fold.store.features_at(ids, submit_s, room.history)
        losses = fold.model.losses.as_of(ids[:, USER_KEY], submit_s, room.expert_losses)
        groups = history_group(user_runs(features))
        room.offsets[:] = fold.model.offsets.as_of(groups, submit_s)
        return Known(features, losses, room.offsets)

    @property
    def version(self) -> int:
        """Grows after each change of what is known: read it before `known`, never after."""
        return self._follower.version

    def record(self, events: pl.DataFrame) -> "Future[Appended]":
        """Has valid events (`EVENT_SCHEMA`) recorded; they are on disk once there is an answer.

        The future raises HistoryError where the log cannot be written. Raises HistoryOffError.
        """
        self.check_on()
        return self._recorder.record(events)

    def check_on(self) -> None:
        """Raises HistoryOffError where no outcomes are taken in."""
        if not self._started:
            raise HistoryOffError

    def live(self) -> LiveFigures:
        """How good the model is on the jobs that end now, from what is folded; quick."""
        return self._follower.fold.model.figures

    def state(self) -> HistoryState:
        """How history is; quick."""
        follower, path = self._follower, self._settings.path
        fold, progress = follower.fold, follower.progress
        since_s = progress.in_step_at_s or self._started_s
        problems = dict.fromkeys((follower.error, self._recorder.error))
        return HistoryState(
            enabled=self._settings.enabled,
            position=fold.position,
            events=len(fold.store),
            keys=fold.store.keys,
            memory_bytes=fold.memory_bytes,
            folded=progress.folded,
            behind=progress.behind,
            behind_s=time.monotonic() - since_s if self._started else 0.0,
            commits=self._recorder.commits,
            commit_s=self._recorder.commit_s,
            errors=follower.errors + self._recorder.errors,
            problems=tuple(problem for problem in problems if problem),
            set_aside=tuple(file.name for file in logs_set_aside(path)),
            snapshot_age_s=snapshot_age_s(path, self._name),
        )
