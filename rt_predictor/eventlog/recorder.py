"""The recorder: brings events into the log from a thread of its own, many callers in one commit.

A commit waits for the disk, so what arrives meanwhile goes into the next one together. After the
answer the events are on disk; after an error none of the caller's is in the log, or all may be.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import perf_counter

import polars as pl

from rt_predictor.errors import DamagedLogError, shown_reason
from rt_predictor.eventlog.files import close_log, open_or_replace_log, set_aside_damaged
from rt_predictor.eventlog.port import Appended
from rt_predictor.eventlog.sqlite import SQLiteEventLog

_GROUP_EVENTS = 1 << 14
"""Events after which a commit takes in no more callers."""

_LOOK_S = 1.0
"""Time between two looks whether the log is in its place, where nothing is recorded."""


@dataclass(frozen=True)
class _Batch:
    events: pl.DataFrame
    answer: "Future[Appended]"


class Recorder:
    """Records events for any number of callers."""

    def __init__(self, path: Path, on_commit: Callable[[], None]) -> None:
        """A recorder whose thread is not started.

        Args:
            path: where the log is.
            on_commit: called on the recorder's thread after each commit.
        """
        self._path = path
        self._on_commit = on_commit
        self._waiting: SimpleQueue[_Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="rt-predictor-record", daemon=True)
        self._log: SQLiteEventLog | None = None
        self.error = ""
        """Why the last commit failed; "" if it did not."""
        self.errors = 0
        """Commits that failed."""
        self.commits = 0
        """Commits that succeeded."""
        self.commit_s = 0.0
        """Time that they took in all."""

    def start(self) -> None:
        """Begin to record."""
        self._thread.start()

    def stop(self) -> None:
        """Record what is waiting, and end."""
        self._waiting.put(None)
        self._thread.join()

    def record(self, events: pl.DataFrame) -> "Future[Appended]":
        """Has events (`EVENT_SCHEMA`, valid) recorded; they are on disk once there is an answer.

        The future raises HistoryError where the log cannot be written.
        """
        answer: Future[Appended] = Future()
        self._waiting.put(_Batch(events, answer))
        return answer

    def _run(self) -> None:
        going_on = True
        while going_on:
            group, going_on = self._next_group()
            group = [batch for batch in group if batch.answer.set_running_or_notify_cancel()]
            if group:
                self._commit(group)
        self._close()

    def _next_group(self) -> tuple[list[_Batch], bool]:
        """Wait for work. Return what waits, and whether more may come."""
        group: list[_Batch] = []
        events = 0
        batch = self._first()
        while batch is not None:
            group.append(batch)
            events += len(batch.events)
            if events >= _GROUP_EVENTS:
                return group, True
            try:
                batch = self._waiting.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _first(self) -> _Batch | None:
        """What comes first. Meanwhile, a log that is no longer in its place is closed."""
        while True:
            try:
                return self._waiting.get(timeout=_LOOK_S)
            except Empty:
                if self._log is not None and not self._log.is_in_place():
                    self._close()

    def _commit(self, group: Sequence[_Batch]) -> None:
        started = perf_counter()
        try:
            appended = self._append([batch.events for batch in group])
        except Exception as error:
            self._close()
            self.error = shown_reason(error)
            self.errors += 1
            for batch in group:
                batch.answer.set_exception(error)
            return
        self.error = ""
        self.commits += 1
        self.commit_s += perf_counter() - started
        for batch, answer in zip(group, appended, strict=True):
            batch.answer.set_result(answer)
        self._on_commit()

    def _append(self, batches: Sequence[pl.DataFrame]) -> list[Appended]:
        try:
            return self._log_in_place().append_all(batches)
        except DamagedLogError as error:
            if self._log is not None:
                set_aside_damaged(self._path, self._log, str(error))
            self._close()
            return self._log_in_place().append_all(batches)

    def _log_in_place(self) -> SQLiteEventLog:
        """The log: a new one where what was open has been set aside, or taken away."""
        if self._log is not None and not self._log.is_in_place():
            self._close()
        if self._log is None:
            self._log = open_or_replace_log(self._path)
        return self._log

    def _close(self) -> None:
        if self._log is not None:
            close_log(self._path, self._log)
            self._log = None
