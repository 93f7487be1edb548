"""Schedule of snapshots: when they are written, and by which worker.

All workers of a host fold the same log to the same state, so one snapshot does for all of them:
whichever finds it too old writes it. None has to be chosen, and none is missed when it dies.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from loguru import logger

from rt_predictor.errors import HistoryError
from rt_predictor.eventlog.files import try_lock
from rt_predictor.eventlog.snapshot_file import (
    Origin,
    Rejected,
    Stored,
    is_of_another_origin,
    load_snapshot,
    save_snapshot,
    saved_position,
)

_T = TypeVar("_T")

Store = Callable[[], Stored]
"""Puts what is known at this moment into arrays."""


class Snapshots:
    """The snapshot of one file, of one origin."""

    def __init__(self, path: Path, origin: Origin, interval_s: float) -> None:
        self._path = path
        self._origin = origin
        self._interval_s = interval_s
        self._next_look_s = 0.0
        """By the monotonic clock."""

    def load(self, last_position: int, restored: Callable[[Stored], _T]) -> _T | None:
        """Return the state in the snapshot; None where there is no usable one.

        Args:
            last_position: of the log; a snapshot that goes further was not made of it.
            restored: makes what was known of what was stored. Where it raises, the snapshot is
                passed over.
        """
        if not self._path.exists():
            return None
        found = load_snapshot(self._path, self._origin)
        if isinstance(found, Stored) and found.position > last_position:
            found = Rejected(f"{self._path} goes further than the log, of which it was made")
        if isinstance(found, Stored):
            try:
                known = restored(found)
            except Exception as error:
                # Whatever a file holds, it must not keep the log from being read.
                found = Rejected(f"{self._path} cannot be restored: {type(error).__qualname__}")
            else:
                self._look_again_later()
                return known
        logger.info("no history snapshot is used", reason=found.reason)
        return None

    def save_if_due(self, position: int, store: Store) -> None:
        """Write the snapshot if it is older than the interval. Raises HistoryError.

        `position` is that of the last event that is known.
        """
        if time.monotonic() < self._next_look_s:
            return
        self._look_again_later()
        age_s = _age_s(self._path)
        # Where the clock was set back since, nobody knows how old it is.
        if age_s is None or not 0 <= age_s < self._interval_s:
            self._save(position, store)

    def save_at_stop(self, position: int, store: Store) -> None:
        """Write the snapshot, unless a worker with a newer model has. Raises HistoryError."""
        if not is_of_another_origin(self._path, self._origin):
            self._save(position, store)

    def _save(self, position: int, store: Store) -> None:
        """Write the snapshot if it lacks anything and no other worker is writing it."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        try:
            with try_lock(lock) as held:
                saved = saved_position(self._path, self._origin)
                if held and position > (saved or 0):
                    save_snapshot(self._path, store(), self._origin)
        except OSError as error:
            raise HistoryError(
                f"history snapshot {self._path} cannot be written: {error}"
            ) from error

    def _look_again_later(self) -> None:
        self._next_look_s = time.monotonic() + self._interval_s


def snapshot_path(log: Path, name: str = "") -> Path:
    """Return the path of a log's snapshot.

    `name` tells a fold that goes on beside that of the service from it, so that neither overwrites
    what the other has stored.
    """
    return log.with_name(".".join(filter(None, (log.name, name, "snapshot"))))


def snapshot_age_s(log: Path, name: str = "") -> float | None:
    """Return the age of a log's snapshot in s; None where there is none."""
    age_s = _age_s(snapshot_path(log, name))
    return None if age_s is None else max(age_s, 0.0)


def _age_s(snapshot: Path) -> float | None:
    """The same; below 0 where the clock was set back since."""
    try:
        return time.time() - snapshot.stat().st_mtime
    except OSError:
        return None
