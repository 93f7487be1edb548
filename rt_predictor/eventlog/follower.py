"""The follower: keeps memory in step with the event log, from a thread of its own.

It reads what was appended, by this process or another, folds it, and writes a snapshot now and
then. Whatever is wrong with the log, what is folded stays and can be asked; the follower says what
is wrong, and tries again until it succeeds.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import polars as pl
from loguru import logger

from rt_predictor.errors import DamagedLogError, HistoryError, shown_reason, traceback_text
from rt_predictor.eventlog.files import close_log, open_or_replace_log, set_aside_damaged
from rt_predictor.eventlog.port import Tail
from rt_predictor.eventlog.snapshot_file import Json, Stored
from rt_predictor.eventlog.snapshots import Snapshots, snapshot_path
from rt_predictor.eventlog.sqlite import SQLiteEventLog
from rt_predictor.settings import HistorySettings

POLL_S = 0.2
"""Time between two looks at the log; within it, and what folding takes, all workers know."""
RETRY_S = 1.0
"""Pause after an error."""
_READ_EVENTS = 1 << 13
"""Events that are read and folded at a time."""


class FoldPort(Protocol):
    """State after the events up to a position of the log."""

    position: int
    """Of the last event that is folded."""

    def take(self, events: pl.DataFrame, position: int) -> None:
        """Fold the next events of the log (`EVENT_SCHEMA`), which end at a position of it."""
        ...


F = TypeVar("F", bound=FoldPort)


class Keeper(Protocol[F]):
    """Makes folds, and puts them into snapshots and takes them out again."""

    def origin(self) -> dict[str, Json]:
        """Return what the fold depends on beside the log; a snapshot of another origin is not
        used."""
        ...

    def empty(self) -> F:
        """Return the state before the first event."""
        ...

    def stored(self, fold: F) -> Stored:
        """Return the state as arrays."""
        ...

    def restored(self, stored: Stored) -> F:
        """The fold of which these are the arrays. May raise anything where they are not sound."""
        ...


@dataclass(frozen=True)
class Progress:
    """Progress of the follower."""

    behind: int = 0
    """Events of the log that are not folded yet"""
    folded: int = 0
    """Events that this process has read from the log and folded"""
    in_step_at_s: float | None = None
    """Time when memory was last known to hold all of the log, by the monotonic clock"""


class LogFollower(Generic[F]):
    """Owns the fold, and the thread that folds."""

    def __init__(self, settings: HistorySettings, keeper: Keeper[F], name: str = "") -> None:
        """A follower whose thread is not started; its fold is empty.

        `name` tells its snapshot from that of the service (`snapshot_path`).
        """
        self._name = name
        self._settings = settings
        self._keeper = keeper
        self._log: SQLiteEventLog | None = None
        self._log_id = ""
        self._snapshots: Snapshots | None = None
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rt-predictor-fold", daemon=True)
        self.fold = keeper.empty()
        """State of the log. Replaced when another log takes the place of this one."""
        self._reading = self.fold
        """State that the thread folds into: `fold`, or its successor until all is read."""
        self.progress = Progress()
        self.version = 0
        """Grows after each change of what is known."""
        self.error = ""
        """Error in force; "" if there is none."""
        self.errors = 0
        """Number of errors so far."""

    def use_keeper(self, keeper: Keeper[F]) -> None:
        """Say what is folded. Before `start`."""
        self._keeper = keeper
        self.fold = self._reading = keeper.empty()

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def wake(self) -> None:
        """Say that something was appended."""
        self._news.set()

    def wait_until_read(self, timeout_s: float) -> bool:
        """Wait until all of the log has been folded once, or cannot be: whether it has."""
        self._settled.wait(timeout_s)
        return self.progress.in_step_at_s is not None

    def stop(self) -> None:
        """Write a snapshot, and end."""
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
                self._snapshots.save_at_stop(self._reading.position, self._store)
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

    def _log_in_place(self) -> SQLiteEventLog:
        if self._log is not None and not self._log.is_in_place():
            self._close()
        if self._log is None:
            self._log = open_or_replace_log(self._settings.path)
            if self._settings.home_cluster:
                self._log.take_home(self._settings.home_cluster)
        return self._log

    def _catch_up(self, log: SQLiteEventLog) -> None:
        try:
            while not self._stopping.is_set():
                now_s = time.monotonic()
                tail = log.read_after(self._reading.position, _READ_EVENTS)
                if tail.log_id != self._log_id:
                    self._begin(log, tail.log_id)
                elif tail.position > self._reading.position:
                    self._take(tail)
                    self._folded(len(tail.events), log.last_position() - tail.position)
                else:
                    self._in_step(now_s)
                    break
        except DamagedLogError as error:
            set_aside_damaged(self._settings.path, log, str(error))
            raise
        if self._snapshots is not None:
            self._snapshots.save_if_due(self._reading.position, self._store)

    def _begin(self, log: SQLiteEventLog, log_id: str) -> None:
        """Begin anew: the log is another one, or is without some of its events.

        What is known can be asked until all of the log has been read.
        """
        settings, keeper = self._settings, self._keeper
        path = snapshot_path(settings.path, self._name)
        origin: dict[str, Json] = {"log_id": log_id, **keeper.origin()}
        self._snapshots = Snapshots(path, origin, settings.snapshot_interval_s)
        known = self._snapshots.load(log.last_position(), keeper.restored)
        self._reading = keeper.empty() if known is None else known
        if not self.fold.position or known is not None:
            self.fold = self._reading
        self._log_id = log_id
        self.version += 1

    def _take(self, tail: Tail) -> None:
        try:
            self._reading.take(tail.events, tail.position)
        except BaseException:
            # Some of the events may be folded: begin anew, fold none twice and store none of it.
            self._log_id, self._snapshots = "", None
            self._reading = self._keeper.empty()
            raise

    def _folded(self, events: int, behind: int) -> None:
        self.version += 1
        before = self.progress
        self.progress = Progress(behind, before.folded + events, before.in_step_at_s)

    def _in_step(self, at_s: float) -> None:
        if self.fold is not self._reading:
            self.fold = self._reading
            self.version += 1
        self.progress = Progress(0, self.progress.folded, at_s)
        self._settled.set()

    def _store(self) -> Stored:
        return self._keeper.stored(self._reading)

    def _close(self) -> None:
        if self._log is not None:
            close_log(self._settings.path, self._log)
            self._log = None
