"""The follower: keeps memory in step with the outcome log, from a thread of its own.

It reads what was appended, by this process or another, folds it, and writes a snapshot now and
then. Whatever is wrong with the log, what is folded stays and can be asked; the follower says what
is wrong, and tries again until it succeeds.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loguru import logger

from rt_predictor.errors import DamagedLogError, HistoryError, shown_reason
from rt_predictor.history.fold import Fold
from rt_predictor.history.judge import Judge
from rt_predictor.history.log import Tail
from rt_predictor.history.place import open_or_replace_log, set_aside_damaged
from rt_predictor.history.snapshot import Origin
from rt_predictor.history.snapshots import Snapshots
from rt_predictor.history.sqlite_log import SQLiteOutcomeLog
from rt_predictor.observability.logging import traceback_text
from rt_predictor.settings import HistorySettings

POLL_S = 0.2
"""Time between two looks at the log; within it, and what folding takes, all workers know."""
RETRY_S = 1.0
"""Pause after an error."""
_READ_EVENTS = 1 << 13
"""Events that are read and folded at a time."""


@dataclass(frozen=True)
class Progress:
    """How far the follower is."""

    behind: int = 0
    """Events of the log that are not folded yet"""
    folded: int = 0
    """Events that this process has read from the log and folded"""
    in_step_at_s: float | None = None
    """When memory was last known to hold all of the log, by the monotonic clock"""


class LogFollower:
    """Owns the fold, and the thread that folds."""

    def __init__(self, settings: HistorySettings, judge: Judge, name: str = "") -> None:
        """A follower whose thread is not started; its fold is empty.

        `name` tells its snapshot from that of the service (`snapshot_path`).
        """
        self._name = name
        self._settings = settings
        self._judge = judge
        self._log: SQLiteOutcomeLog | None = None
        self._log_id = ""
        self._snapshots: Snapshots | None = None
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rt-predictor-fold", daemon=True)
        self.fold = self._empty()
        """What is known. Replaced when another log takes the place of this one."""
        self.progress = Progress()
        self.version = 0
        """Grows after each change of what is known."""
        self.error = ""
        """What is wrong; "" if nothing is."""
        self.errors = 0
        """How often something was."""

    def use_judge(self, judge: Judge) -> None:
        """Says whose experts' losses are folded. Before `start`."""
        self._judge = judge
        self.fold = self._empty()

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def wake(self) -> None:
        """Says that something was appended."""
        self._news.set()

    def wait_until_read(self, timeout_s: float) -> bool:
        """Waits until all of the log has been folded once, or cannot be: whether it has."""
        self._settled.wait(timeout_s)
        return self.progress.in_step_at_s is not None

    def stop(self) -> None:
        """Writes a snapshot, and ends."""
        self._stopping.set()
        self._news.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._reporting():
                self._catch_up(self._log_in_place())
            self._news.wait(RETRY_S if self.error else POLL_S)
            self._news.clear()
        if self._snapshots is not None:
            with self._reporting():
                self._snapshots.save_at_stop(self.fold)
        self._close()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Nothing ends the follower; an error is said once, as long as it stays the same."""
        try:
            yield
        except Exception as error:
            self.errors += 1
            known = isinstance(error, HistoryError)
            reason = shown_reason(error)
            if reason != self.error:
                details = {} if known else {"traceback": traceback_text(error)}
                logger.error("history cannot be kept in step", reason=reason, **details)
            self.error = reason
            self._settled.set()
            self._close()
        else:
            if self.error:
                logger.info("history is kept in step again")
            self.error = ""

    def _log_in_place(self) -> SQLiteOutcomeLog:
        """The log; where it is another than before, what is known begins anew."""
        if self._log is not None and not self._log.is_in_place():
            self._close()
        if self._log is None:
            self._log = open_or_replace_log(self._settings.path)
            if self._log.log_id != self._log_id:
                self._begin(self._log)
        return self._log

    def _begin(self, log: SQLiteOutcomeLog) -> None:
        judge = self._judge
        self._snapshots = Snapshots(self._settings, Origin.of(log.log_id, judge), self._name)
        self.fold = self._snapshots.load(judge, log.last_position()) or self._empty()
        self._log_id = log.log_id
        self.version += 1

    def _catch_up(self, log: SQLiteOutcomeLog) -> None:
        try:
            while not self._stopping.is_set():
                now_s = time.monotonic()
                tail = log.read_after(self.fold.position, _READ_EVENTS)
                if not len(tail.events):
                    self._in_step(now_s)
                    break
                self._take(tail)
                self._folded(len(tail.events), log.last_position() - tail.position)
        except DamagedLogError as error:
            set_aside_damaged(self._settings.path, log, str(error))
            raise
        if self._snapshots is not None:
            self._snapshots.save_if_due(self.fold)

    def _take(self, tail: Tail) -> None:
        try:
            self.fold.take(tail.events, tail.position)
        except BaseException:
            self._log_id = ""  # some of the events may be folded: begin anew, and fold none twice
            raise

    def _folded(self, events: int, behind: int) -> None:
        self.version += 1
        before = self.progress
        self.progress = Progress(behind, before.folded + events, before.in_step_at_s)

    def _in_step(self, at_s: float) -> None:
        self.progress = Progress(0, self.progress.folded, at_s)
        self._settled.set()

    def _empty(self) -> Fold:
        return Fold.empty(self._judge, self._settings.max_events, self._settings.max_keys)

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
