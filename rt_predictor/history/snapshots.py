"""When snapshots are written, and by which worker.

All workers of a host fold the same log to the same state, so one snapshot does for all of them:
whichever finds it too old writes it. None has to be chosen, and none is missed when it dies.
"""

import time
from pathlib import Path

from loguru import logger

from rt_predictor.errors import HistoryError
from rt_predictor.history.fold import Fold
from rt_predictor.history.judge import Judge
from rt_predictor.history.model_fold import ModelFold
from rt_predictor.history.place import try_lock
from rt_predictor.history.snapshot import (
    Origin,
    Rejected,
    Snapshot,
    is_of_another_model,
    load_snapshot,
    save_snapshot,
    saved_position,
)
from rt_predictor.settings import HistorySettings


class Snapshots:
    """The snapshot beside one log."""

    def __init__(self, settings: HistorySettings, origin: Origin, name: str = "") -> None:
        """The snapshot of one fold of the log; `name` as for `snapshot_path`."""
        self._settings = settings
        self._origin = origin
        self._path = snapshot_path(settings.path, name)
        self._next_look_s = 0.0
        """By the monotonic clock."""

    def load(self, judge: Judge, last_position: int) -> Fold | None:
        """What was known when the snapshot was written; None where there is none of any use."""
        settings = self._settings
        if not self._path.exists():
            return None
        found = load_snapshot(self._path, self._origin, settings.max_events, settings.max_keys)
        if isinstance(found, Snapshot) and found.position > last_position:
            found = Rejected(f"{self._path} goes further than the log, of which it was made")
        if isinstance(found, Rejected):
            logger.info("no history snapshot is used", reason=found.reason)
            return None
        self._look_again_later()
        model = ModelFold(judge, found.losses, found.offsets, found.live)
        return Fold(found.store, model, found.position)

    def save_if_due(self, fold: Fold) -> None:
        """Writes the snapshot if it is older than the interval. Raises HistoryError."""
        if time.monotonic() < self._next_look_s:
            return
        self._look_again_later()
        age_s = _age_s(self._path)
        # Where the clock was set back since, nobody knows how old it is.
        if age_s is None or not 0 <= age_s < self._settings.snapshot_interval_s:
            self._save(fold)

    def save_at_stop(self, fold: Fold) -> None:
        """Writes the snapshot, unless a worker with a newer model has. Raises HistoryError."""
        if not is_of_another_model(self._path, self._origin):
            self._save(fold)

    def _save(self, fold: Fold) -> None:
        """Writes the snapshot if it lacks anything and no other worker is writing it."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        try:
            with try_lock(lock) as held:
                saved = saved_position(self._path, self._origin)
                if held and fold.position > (saved or 0):
                    model = fold.model
                    known = Snapshot(
                        fold.store, model.losses, model.offsets, model.live, fold.position
                    )
                    save_snapshot(self._path, known, self._origin)
        except OSError as error:
            raise HistoryError(
                f"history snapshot {self._path} cannot be written: {error}"
            ) from error

    def _look_again_later(self) -> None:
        self._next_look_s = time.monotonic() + self._settings.snapshot_interval_s


def snapshot_path(log: Path, name: str = "") -> Path:
    """Where the snapshot of a log lies.

    `name` tells a fold that goes on beside that of the service from it, so that neither overwrites
    what the other has stored.
    """
    return log.with_name(".".join(filter(None, (log.name, name, "snapshot"))))


def snapshot_age_s(log: Path, name: str = "") -> float | None:
    """How long ago the snapshot of a log was written; None where there is none."""
    age_s = _age_s(snapshot_path(log, name))
    return None if age_s is None else max(age_s, 0.0)


def _age_s(snapshot: Path) -> float | None:
    """The same; below 0 where the clock was set back since."""
    try:
        return time.time() - snapshot.stat().st_mtime
    except OSError:
        return None
