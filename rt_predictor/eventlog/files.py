"""The file of the outcome log: opened by one process at a time, and cleared of a damaged one.

Workers and importers open the same file at the same time, and several may find it damaged; a lock
file beside it lets exactly one set it aside, under a name that says when. Who still has it open
notices (`EventLog.is_in_place`) and opens the new one.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loguru import logger

from rt_predictor.errors import DamagedLogError, HistoryError
from rt_predictor.eventlog.sqlite import SIDE_FILES, SQLiteEventLog

_DAMAGED = ".damaged-"
_REPLACED = ".replaced-"


def open_log(path: Path) -> SQLiteEventLog:
    """Open the log, making it where there is none. Raises as `SQLiteEventLog`."""
    with _alone(path):
        return SQLiteEventLog(path)


def open_or_replace_log(path: Path) -> SQLiteEventLog:
    """Open the log; one that is damaged is set aside, and a new one begun.

    Raises HistoryError where there can be none.
    """
    with _alone(path):
        try:
            return SQLiteEventLog(path)
        except DamagedLogError as error:
            _set_aside(path, str(error))
            return SQLiteEventLog(path)


def close_log(path: Path, log: SQLiteEventLog) -> None:
    """Closes a log; where files beside it were deleted meanwhile, nothing acknowledged is lost.

    The first of those who have it open saves what is in the deleted files, before any of them can
    open the log anew.
    """
    try:
        if not log.is_in_place():
            with _alone(path):
                if log.settle():
                    logger.warning("files of the history log were deleted while it was open: saved")
    except (HistoryError, OSError) as error:
        logger.error("files of the history log were deleted while it was open", reason=str(error))
    finally:
        log.close()


def set_aside_damaged(path: Path, log: SQLiteEventLog, reason: str) -> None:
    """Set aside a log that turned out to be damaged, unless another process has done so.

    Raises HistoryError where it cannot be renamed.
    """
    with _alone(path):
        if log.is_in_place():
            _set_aside(path, reason)


def put_in_place(new: Path, path: Path) -> Path | None:
    """Put a log, which nobody has open, in the place of another: where that one lies now, if any.

    Raises HistoryError where it cannot be renamed.
    """
    with _alone(path):
        aside = _moved_aside(path, _REPLACED) if path.exists() else None
        new.rename(path)
    return aside


def logs_set_aside(path: Path) -> list[Path]:
    """Damaged logs that lie beside a log, the oldest first."""
    return _beside(path, _DAMAGED)


def logs_replaced(path: Path) -> list[Path]:
    """Logs in whose place another was put, the oldest first."""
    return _beside(path, _REPLACED)


def _beside(path: Path, mark: str) -> list[Path]:
    found = path.parent.glob(f"{path.name}{mark}*")
    return sorted(file for file in found if not file.name.endswith(SIDE_FILES))


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold a lock file unless another process does: whether it is held.

    Raises OSError where there can be no such file.
    """
    import fcntl

    with _lock_file(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    import fcntl  # not everywhere: where it is lacking, predictions without history still work

    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock_file(lock) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise HistoryError(f"history log {path} cannot be opened: {error}") from error


@contextmanager
def _lock_file(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)  # and with it the lock


def _set_aside(path: Path, reason: str) -> None:
    aside = _moved_aside(path, _DAMAGED)
    logger.error("damaged history log set aside, a new one begun", file=str(aside), reason=reason)


def _moved_aside(path: Path, mark: str) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}{mark}{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}{mark}{stamp}-{number}")
    # The log itself last: what is written ahead must never be taken for the new log's.
    for end in (*SIDE_FILES, ""):
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(aside.with_name(aside.name + end))
    return aside
