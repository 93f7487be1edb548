"""History as the service sees it: events go in, and all that is known can be asked for."""

import time
from concurrent.futures import Future
from dataclasses import dataclass

import polars as pl

from rt_predictor.errors import HistoryOffError
from rt_predictor.eventlog.files import logs_set_aside
from rt_predictor.eventlog.follower import LogFollower
from rt_predictor.eventlog.port import Appended
from rt_predictor.eventlog.recorder import Recorder
from rt_predictor.eventlog.snapshots import snapshot_age_s
from rt_predictor.history.fold import Fold
from rt_predictor.history.fold_keeper import FoldKeeper
from rt_predictor.history.learner import Learner, NoLearner
from rt_predictor.jobs.events import with_doubts
from rt_predictor.jobs.identity import without_home
from rt_predictor.settings import HistorySettings


@dataclass(frozen=True)
class HistoryState:
    """How history is, in this process."""

    enabled: bool
    position: int
    """Position in the log of the last event that is folded"""
    events: int
    """Jobs in memory"""
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
    """Events and what is known from them, in one process. Any thread may ask; none waits long."""

    def __init__(
        self, settings: HistorySettings, name: str = "", *, limits_enforced: bool = False
    ) -> None:
        """History that knows nothing: it reads nothing before `start`.

        Args:
            settings: of the log.
            name: "" in what serves; another keeps a snapshot of its own (`snapshot_path`).
            limits_enforced: whether jobs are ended at their time limit, so that one that is said to
                have run for far longer comes into quarantine.
        """
        self._name = name
        self._limits_enforced = limits_enforced
        self._settings = settings
        self._started_s = time.monotonic()
        self._follower: LogFollower[Fold] = LogFollower(settings, self._keeper(NoLearner()), name)
        self._recorder = Recorder(settings.path, self._follower.wake)
        self._started = False

    @classmethod
    def off(cls) -> "History":
        """History that is switched off: it knows nothing, for ever."""
        return cls(HistorySettings(enabled=False))

    def use_learner(self, learner: Learner) -> None:
        """Says which model learns from outcomes. Before `start`."""
        self._follower.use_keeper(self._keeper(learner))

    def _keeper(self, learner: Learner) -> FoldKeeper:
        return FoldKeeper(learner, self._settings.max_events, self._settings.max_keys)

    def start(self) -> None:
        """Begins to read the log and to take events in; does nothing if switched off."""
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

    @property
    def fold(self) -> Fold:
        """All that is known now. It goes on changing; where another log takes the place of this
        one, so does another fold."""
        return self._follower.fold

    @property
    def version(self) -> int:
        """Grows after each change of what is known: read it before `fold`, never after."""
        return self._follower.version

    def record(self, events: pl.DataFrame) -> "Future[Appended]":
        """Has valid events (`EVENT_SCHEMA`) recorded; they are on disk once there is an answer.

        Doubtful ones come into quarantine.
        The future raises HistoryError where the log cannot be written. Raises HistoryOffError.
        """
        self.check_on()
        events = events.with_columns(without_home(self._settings.home_cluster))
        return self._recorder.record(with_doubts(events, limits_enforced=self._limits_enforced))

    def check_on(self) -> None:
        """Raises HistoryOffError where no events are taken in."""
        if not self._started:
            raise HistoryOffError

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
